// A machine that dewy keeps up to date, with the real flow of a deploy.
import { readdir, readFile, readlink } from "node:fs/promises";
import { basename, join } from "node:path";
import { statePath } from "../../src/agent/agent.ts";
import type { CommandContext } from "../../src/agent/context.ts";
import { runAssets } from "../../src/cli/commands/assets.ts";
import { readAssets } from "../../src/cli/flags/assets.ts";
import { parseArgv } from "../../src/cli/flags/parse.ts";
import { logLineOf } from "../../src/cli/log/lines.ts";
import { type Clock, systemClock } from "../../src/core/clock.ts";
import { VerificationError } from "../../src/core/error.ts";
import type { DewyEvent } from "../../src/core/event.ts";
import type { DeployState } from "../../src/deploy/state.ts";
import { stateFile } from "../../src/host/files/state_file.ts";
import { createHostIo } from "../../src/host/io.ts";
import { hostRegistries } from "../../src/host/registries.ts";
import { fakeProcess } from "../cli/process.ts";
import { VERSION_FILE } from "../e2e/archive.ts";
import { tempDirectory } from "../support/temp_directory.ts";
import type { Courier } from "./couriers.ts";

export interface Machine {
  root: string;
  poll(options?: PollOptions): Promise<Polled>;
  /** The version whose files are live. */
  live(): Promise<string | undefined>;
  /** The name of the directory that is live. */
  liveDirectory(): Promise<string>;
  state(): Promise<DeployState>;
  changeState(change: (state: DeployState) => DeployState): Promise<unknown>;
  /** The directories of releases, complete or not. */
  releases(): Promise<readonly string[]>;
}

export type Run = (argv: readonly string[], context: CommandContext) => Promise<number>;

interface PollOptions {
  flags?: readonly string[];
  /** Receives every event when it happens. */
  on?: (event: DewyEvent) => void;
  /** Every request waits for it. */
  beforeRequest?: () => Promise<void> | undefined;
}

/** Whether a version is refused by its signature, held for an operator, or not even downloaded. */
export type Outcome = "unverified" | "held" | "not downloaded" | "warned";

export interface Polled {
  exitCode: number;
  events: readonly DewyEvent[];
  /** Why a version did not come. */
  reasons: string;
}

/** `run` is what the process does. Defaults to `dewy assets`. */
export async function machine(
  courier: Pick<Courier, "url" | "env" | "fetch">,
  run: Run = runsAssets,
): Promise<Machine> {
  const root = await tempDirectory();
  const runtime = await tempDirectory();
  const env = { DEWY_RUNTIME_DIR: runtime, ...courier.env };
  const store = stateFile(statePath(root), () => {});
  return {
    root,
    async poll({ flags = [], on, beforeRequest } = {}) {
      const events: DewyEvent[] = [];
      const argv = ["--once", "--directory", root, "--registry", courier.url, ...flags];
      const emit = (event: DewyEvent): void => {
        events.push(event);
        on?.(event);
      };
      const network = courier.fetch ?? (() => Promise.reject(new Error("no network")));
      const fetch: typeof globalThis.fetch = async (input, init) => {
        await beforeRequest?.();
        return network(input, init);
      };
      const context: CommandContext = {
        ...fakeProcess({ env }),
        ...{ clock: impatientClock, fetch, emit, version: "0.0.0" },
        ...{ registries: hostRegistries, notifiers: {}, caches: {} },
        io: await createHostIo({ env, fetch, clock: impatientClock, emit }),
        redactor: () => (text) => text,
      };
      const exitCode = await run(argv, context);
      return { exitCode, events, reasons: events.flatMap(reasonIn).join("\n") };
    },
    live: () => readFile(join(root, "current", VERSION_FILE), "utf8").catch(() => undefined),
    liveDirectory: async () => basename(await readlink(join(root, "current"))),
    state: store.load,
    changeState: store.update,
    releases: () => readdir(join(root, "releases")).catch(() => []),
  };
}

const runsAssets: Run = (argv, context) =>
  runAssets(readAssets(parseArgv(["assets", ...argv])), context);

const PATIENCE_MS = 10_000;

/** Retries come at once. Timeouts, which are longer, are those of the system. */
const impatientClock: Clock = {
  ...systemClock,
  sleep: (ms, signal) => systemClock.sleep(ms < PATIENCE_MS ? 0 : ms, signal),
};

export function outcomeOf({ events }: Polled): Outcome | undefined {
  const types = new Set(events.map(({ type }) => type));
  if (types.has("waiting")) return "held";
  if (types.has("listing-stale")) return "warned";
  const failed = events.find((event) => event.type === "failed");
  if (failed === undefined) return undefined;
  const { cause } = failed.error;
  if (cause instanceof VerificationError) return "unverified";
  return types.has("downloaded") ? undefined : "not downloaded";
}

function reasonIn(event: DewyEvent): string[] {
  if (event.type === "failed") return [event.error.message];
  if (event.type === "waiting") return [event.reason];
  return event.type === "listing-stale" ? [logLineOf(event)?.message ?? ""] : [];
}
