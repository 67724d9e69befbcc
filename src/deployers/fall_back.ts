import { backoffMs } from "../deploy/backoff.ts";
import type { DeployIo } from "../deploy/deployer.ts";
import { asDewyError } from "../deploy/loop.ts";
import { type DeployedRelease, findRelease, isBad, markBad, wayBack } from "../deploy/state.ts";
import type { ReleaseDirectory } from "./release_directory.ts";
import type { AppRelease, CrashLoop, Runner } from "./runner.ts";

/** What {@link fallBack} works with. */
export interface FallBackParts {
  directory: Pick<ReleaseDirectory, "live" | "has" | "point">;
  runner: Pick<Runner, "ensureRunning">;
  io: Pick<DeployIo, "store" | "switches" | "clock" | "emit">;
  /** Ends the retries. */
  signal: AbortSignal;
}

const FIRST_PAUSE_MS = 1_000;

/**
 * Marks a release that keeps crashing as bad, and goes back to the release before it. What fails is retried with
 * backoff. Where there is no way back, the runner goes on restarting the release.
 *
 * @param loop what keeps crashing.
 * @param parts the directory, what runs releases, and the memory.
 */
export async function fallBack(loop: CrashLoop, parts: FallBackParts): Promise<void> {
  const { release } = loop;
  const { clock, emit } = parts.io;
  const why = `it crashed ${loop.crashes} times in a row; the last time, ${loop.reason}`;
  // Going back does not depend on the mark: a disk may stay full.
  let steps: readonly { what: string; take(): Promise<void> }[] = [
    { what: "report the crash loop", take: () => report(loop, parts) },
    { what: "remember the version as bad", take: () => remember(release, why, parts) },
    { what: "go back to the version before", take: () => rollBack(release, why, parts) },
  ];
  for (let failures = 1; !parts.signal.aborted; failures += 1) {
    const failed: { what: string; take(): Promise<void>; error: unknown }[] = [];
    for (const { what, take } of steps) {
      await take().catch((error: unknown) => failed.push({ what, take, error }));
    }
    const [first] = failed;
    if (first === undefined) return;
    steps = failed;
    const retryInMs = backoffMs(FIRST_PAUSE_MS, failures, Math.random);
    const error = asDewyError(first.error).message;
    const fields = { tag: release.tag, error, retry_in_ms: retryInMs };
    emit({ type: "warning", important: true, message: `Cannot ${first.what}`, fields });
    await clock.sleep(retryInMs, parts.signal).catch(() => {});
  }
}

async function report({ release, crashes }: CrashLoop, parts: FallBackParts): Promise<void> {
  const to = await previousGood(release, parts);
  const action =
    to === undefined
      ? "there is no earlier good version to go back to; dewy keeps restarting this one"
      : `going back to ${to.tag}`;
  parts.io.emit({ type: "crash-loop", tag: release.tag, crashes, action });
}

async function remember(release: AppRelease, why: string, { io }: FallBackParts): Promise<void> {
  const now = io.clock.now();
  await io.store.update((state) => {
    const bad = findRelease(state, release.directory);
    return bad === undefined ? state : markBad(state, bad, why, now);
  });
}

async function rollBack(release: AppRelease, why: string, parts: FallBackParts): Promise<void> {
  const { directory, runner, io } = parts;
  // A newer version that is getting ready is the only way out then.
  if ((await previousGood(release, parts)) === undefined) return;
  await io.switches.urgently(`${release.tag} keeps crashing`, async () => {
    const live = await directory.live();
    const state = await io.store.load();
    if (live !== release.directory && live === state.switching?.to) return; // a newer one serves
    const isLive = live === release.directory;
    const to = isLive ? await previousGood(release, parts) : findRelease(state, live);
    if (to === undefined) return;
    if (isLive) await directory.point(to.directory);
    io.emit({ type: "rolled-back", tag: release.tag, to: to.tag, reason: why });
    if (isLive) await runner.ensureRunning({ tag: to.tag, directory: to.directory });
  });
}

/** The last good release before the crashing one. */
async function previousGood(
  crashing: AppRelease,
  { directory, io }: FallBackParts,
): Promise<DeployedRelease | undefined> {
  const state = await io.store.load();
  const release = findRelease(state, crashing.directory);
  if (release === undefined) return undefined;
  // It may not be marked as bad yet.
  const marked = markBad(state, release, "", 0);
  const previous = findRelease(marked, wayBack(marked, release.directory));
  if (previous === undefined || isBad(marked, previous.directory)) return undefined;
  return (await directory.has(previous.directory)) ? previous : undefined;
}
