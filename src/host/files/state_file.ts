import { rename } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import * as v from "valibot";
import { exclusive } from "../../core/concurrency.ts";
import type { EventSink } from "../../core/event.ts";
import { VERIFY_KINDS } from "../../core/proof.ts";
import { type DeployState, EMPTY_STATE, type StateStore } from "../../deploy/state.ts";
import { hostError, readOwnFileIfPresent, writeFileAtomic } from "./atomic_file.ts";
import { ownDirectory } from "./own_directory.ts";

const identity = {
  digest: v.exactOptional(v.string()),
  revision: v.exactOptional(v.string()),
};

/** Names in the file become paths, so they are checked like untrusted input. */
const directoryName = v.pipe(v.string(), v.regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/));

const decision = {
  user: v.string(),
  message: v.exactOptional(v.string()),
  at: v.string(),
};

const signer = { kind: v.picklist(VERIFY_KINDS), signer: v.string() };

const leftBehind = { left: v.exactOptional(v.string()) };

const orderSchema = v.variant("kind", [
  v.object({
    kind: v.literal("rollback"),
    id: v.string(),
    ...decision,
    tag: v.string(),
    directory: directoryName,
    ...leftBehind,
  }),
  v.object({
    kind: v.literal("deploy"),
    id: v.string(),
    ...decision,
    tag: v.string(),
    ...leftBehind,
  }),
  v.object({ kind: v.literal("restart"), id: v.string(), ...decision }),
]);

const schema = v.object({
  format: v.literal(1),
  releases: v.array(
    v.object({
      id: v.string(),
      tag: v.string(),
      artifact: v.string(),
      ...identity,
      directory: directoryName,
      stagedAt: v.string(),
      provenAt: v.exactOptional(v.string()),
      verified: v.exactOptional(
        v.object({ policy: v.string(), digest: v.string(), signers: v.array(v.object(signer)) }),
      ),
    }),
  ),
  previous: v.exactOptional(directoryName),
  switching: v.exactOptional(v.object({ to: directoryName, from: v.exactOptional(directoryName) })),
  afterHook: v.exactOptional(
    v.object({ directory: directoryName, previousTag: v.exactOptional(v.string()) }),
  ),
  bad: v.array(v.object({ tag: v.string(), ...identity, reason: v.string(), at: v.string() })),
  known: v.optional(
    v.array(
      v.object({
        tag: v.string(),
        artifact: v.string(),
        ...identity,
        accepted: v.exactOptional(v.literal(true)),
      }),
    ),
    [],
  ),
  pinned: v.exactOptional(v.object({ ...decision, tag: v.string() })),
  paused: v.exactOptional(v.object(decision)),
  skipped: v.exactOptional(
    v.array(
      v.object({ ...decision, tag: v.string(), andEarlier: v.exactOptional(v.literal(true)) }),
    ),
  ),
  order: v.exactOptional(orderSchema),
  signers: v.exactOptional(v.array(v.object({ ...signer, tag: v.string(), at: v.string() }))),
  accepted: v.exactOptional(
    v.array(v.object({ ...decision, tag: v.string(), digest: v.exactOptional(v.string()) })),
  ),
  seen: v.exactOptional(v.array(v.object({ tag: v.string(), ...identity, at: v.string() }))),
  highest: v.exactOptional(v.string()),
  listing: v.exactOptional(v.object({ hash: v.string(), changedAt: v.string() })),
  reports: v.exactOptional(
    v.array(
      v.object({
        id: v.string(),
        tag: v.string(),
        at: v.string(),
        nanoseconds: v.exactOptional(v.number()),
        error: v.exactOptional(v.string()),
      }),
    ),
  ),
});

/**
 * Keeps the state in a JSON file. An invalid file is set aside: the symlink `current` still says which release is live,
 * so that at worst a version is deployed again. The record of bad versions, of known bytes and of trusted signers is lost,
 * and so are pins, a pause and skips.
 */
export function stateFile(path: string, emit: EventSink): StateStore {
  const exclusively = exclusive();
  const load = async (): Promise<DeployState> => {
    const text = await readOwnFileIfPresent(path);
    if (text === undefined) return EMPTY_STATE;
    return parseState(text) ?? (await setAside(path, emit));
  };
  return {
    load,
    update: (change) =>
      exclusively(async () => {
        const state = change(await load());
        const directory = await ownDirectory(dirname(path), 0o755);
        const text = `${JSON.stringify(state, undefined, 2)}\n`;
        await writeFileAtomic(join(directory, basename(path)), text);
        return state;
      }),
  };
}

/** Reads the state without setting an invalid file aside: for commands that only look. */
export async function readState(path: string): Promise<DeployState> {
  return parseState((await readOwnFileIfPresent(path)) ?? "") ?? EMPTY_STATE;
}

function parseState(text: string): DeployState | undefined {
  try {
    const result = v.safeParse(schema, JSON.parse(text));
    return result.success ? result.output : undefined;
  } catch {
    return undefined;
  }
}

async function setAside(path: string, emit: EventSink): Promise<DeployState> {
  const aside = `${path}.broken`;
  await rename(path, aside).catch((cause: unknown) => {
    throw hostError(`set ${path} aside`, cause);
  });
  emit({
    type: "warning",
    important: true,
    message: "State file is not valid; it was set aside",
    fields: { path: aside, lost: "pins, pauses, skips, bad versions, trusted signers" },
  });
  return EMPTY_STATE;
}
