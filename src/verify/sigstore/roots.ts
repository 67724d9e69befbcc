import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as v from "valibot";
import { VerificationError } from "../../core/error.ts";
import { messageOf } from "../../core/message_of.ts";
import { withTimeout } from "../../core/timeout.ts";
import { writeFileAtomic } from "../../host/files/atomic_file.ts";
import { PUBLIC_GOOD_ROOT, PUBLIC_GOOD_ROOT_DATE } from "../sigstore_bundle/public_good_root.ts";
import type { VerifyContext } from "../types.ts";
import { GITHUB_TUF_ROOT } from "./github_tuf_root.ts";
import { loadTuf } from "./packages.ts";

/** An instance of Sigstore: the TUF repository with its trusted root, and the root that it has in the package. */
export interface Instance {
  name: string;
  mirror: string;
  /** The first TUF root; absent for mirrors that @sigstore/tuf knows. */
  tufRoot?: string | undefined;
  shipped?: DatedRoot | undefined;
}

export interface DatedRoot {
  root: object;
  /** When it was last known to be current. */
  date: string;
}

export const PUBLIC_GOOD: Instance = {
  name: "sigstore",
  mirror: "https://tuf-repo-cdn.sigstore.dev",
  shipped: { root: PUBLIC_GOOD_ROOT, date: PUBLIC_GOOD_ROOT_DATE },
};

const DAY_MS = 86_400_000;
/** A root that could not be refreshed for so long is expired: keys that were revoked since then would still be trusted. */
const EXPIRES_MS = 365 * DAY_MS;
const REFRESH_MS = DAY_MS;
const RETRY_MS = 600_000;
const REQUEST_TIMEOUT_MS = 5_000;
const TIMEOUT_MS = 20_000;

type RootContext = Pick<VerifyContext, "clock" | "emit" | "cacheDirectory">;

/** The instance of GitHub, for private repositories and releases. Its root is not in the package. */
export const GITHUB: Instance = {
  name: "github",
  mirror: "https://tuf-repo.github.com",
  tufRoot: GITHUB_TUF_ROOT,
};

/** The context of a host, which keeps the roots of Sigstore's public instance and of GitHub's up to date. */
export function withRefreshedRoot(context: VerifyContext): VerifyContext {
  return {
    ...context,
    sigstoreRoots: refreshedRoot(PUBLIC_GOOD, context),
    githubRoots: refreshedRoot(GITHUB, context),
  };
}

/**
 * Keeps the trusted root of an instance up to date by TUF, at most once a day. If that fails, the last one is used for up
 * to a year, otherwise the one in the package.
 */
export function refreshedRoot(
  instance: Instance,
  context: RootContext,
): (signal: AbortSignal) => Promise<readonly unknown[]> {
  let known: { root: object; until: number } | undefined;
  return async (signal) => {
    const now = context.clock.now();
    if (known === undefined || now >= known.until) known = await load(instance, context, signal);
    return [known.root];
  };
}

async function load(
  instance: Instance,
  context: RootContext,
  signal: AbortSignal,
): Promise<{ root: object; until: number }> {
  const { clock, emit } = context;
  try {
    const root = await refresh(instance, context, signal);
    return { root, until: clock.now() + REFRESH_MS };
  } catch (cause) {
    signal.throwIfAborted();
    const last = await lastRoot(instance, context);
    const reason = messageOf(cause);
    if (last === undefined || clock.now() - Date.parse(last.date) > EXPIRES_MS) {
      const age = last === undefined ? "" : ` since ${last.date.slice(0, 10)}`;
      throw new VerificationError(
        `Cannot verify with sigstore: the trusted root of ${instance.name} was not refreshed${age}: ${reason}; let this machine reach ${instance.mirror}, or give --trusted-root FILE`,
        { cause },
      );
    }
    const fields = { instance: instance.name, date: last.date, reason };
    emit({ type: "warning", message: "Trusted root not refreshed, using an older one", fields });
    return { root: last.root, until: clock.now() + RETRY_MS };
  }
}

async function refresh(
  instance: Instance,
  context: RootContext,
  signal: AbortSignal,
): Promise<object> {
  const { clock, emit, cacheDirectory } = context;
  const timeout = { clock, ms: TIMEOUT_MS, what: `answer of ${instance.mirror}`, signal };
  if (cacheDirectory === undefined) {
    const temporary = await mkdtemp(join(tmpdir(), "dewy-tuf-"));
    try {
      return await withTimeout(download(instance, temporary), timeout);
    } finally {
      await rm(temporary, { recursive: true, force: true });
    }
  }
  const root = await withTimeout(download(instance, cacheDirectory), timeout);
  const dated: DatedRoot = { root, date: new Date(clock.now()).toISOString() };
  await writeFileAtomic(pathOfLast(instance, cacheDirectory), JSON.stringify(dated)).catch(
    (error) => {
      const fields = { reason: messageOf(error) };
      emit({ type: "warning", message: "Trusted root not cached", fields });
    },
  );
  return root;
}

async function download(instance: Instance, directory: string): Promise<object> {
  const { TUFError, initTUF } = await loadTuf();
  const rootPath = await writeTufRoot(instance, directory);
  const options = {
    cachePath: join(directory, "tuf"),
    mirrorURL: instance.mirror,
    ...(rootPath !== undefined && { rootPath }),
    retry: { retries: 1, minTimeout: 200 },
    timeout: REQUEST_TIMEOUT_MS,
  };
  const tuf = await initTUF(options).catch((error) => {
    // A cached root that was cut off. The one in the package leads to the current one as well.
    if (error instanceof SyntaxError) return initTUF({ ...options, forceInit: true });
    throw error;
  });
  const text = await tuf.getTarget("trusted_root.json").catch((error) => {
    throw error instanceof TUFError ? (error.cause ?? error) : error;
  });
  return JSON.parse(text);
}

async function writeTufRoot(
  { name, tufRoot }: Instance,
  directory: string,
): Promise<string | undefined> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  if (tufRoot === undefined) return undefined;
  const path = join(directory, `${name}-tuf-root.json`);
  await writeFileAtomic(path, tufRoot);
  return path;
}

async function lastRoot(
  instance: Instance,
  { cacheDirectory }: RootContext,
): Promise<DatedRoot | undefined> {
  const { shipped } = instance;
  const cached = cacheDirectory && (await readLast(pathOfLast(instance, cacheDirectory)));
  if (!cached) return shipped;
  // A new version of dewy may have a newer one.
  return shipped !== undefined && cached.date < shipped.date ? shipped : cached;
}

const DATED_ROOT = v.object({
  root: v.looseObject({}),
  date: v.pipe(v.string(), v.isoTimestamp()),
});

async function readLast(path: string): Promise<DatedRoot | undefined> {
  try {
    return v.parse(DATED_ROOT, JSON.parse(await readFile(path, "utf8")));
  } catch {
    return undefined;
  }
}

function pathOfLast({ name }: Instance, directory: string): string {
  return join(directory, `${name}-root.json`);
}
