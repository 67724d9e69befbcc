import { backoffMs } from "../deploy/backoff.ts";
import type { DeployContext } from "../deploy/deployer.ts";
import { asDewyError } from "../deploy/loop.ts";
import { type DeployedRelease, findRelease, isBad, markBad, wayBack } from "../deploy/state.ts";
import type { ReleaseDirectory } from "./release_directory.ts";
import type { AppRelease, CrashLoop, Runner } from "./runner.ts";

interface FallBackParts {
  directory: Pick<ReleaseDirectory, "live" | "has" | "point">;
  runner: Pick<Runner, "ensureRunning">;
  context: Pick<DeployContext, "store" | "switches" | "clock" | "emit">;
  signal: AbortSignal;
}

interface Step {
  what: string;
  take(): Promise<void>;
}

const FIRST_PAUSE_MS = 1_000;

/**
 * Marks a release that keeps crashing bad, and rolls back to the previous good release. Without one,
 * the runner keeps restarting the release.
 */
export async function fallBack(loop: CrashLoop, parts: FallBackParts): Promise<void> {
  const { release } = loop;
  const { clock, emit } = parts.context;
  const why = `it crashed ${loop.crashes} times in a row; the last time: ${loop.reason}`;
  // The rollback does not depend on the mark: a disk may stay full.
  let steps: readonly Step[] = [
    { what: "report the crash loop", take: () => report(loop, parts) },
    { what: "remember the bad version", take: () => remember(release, why, parts) },
    { what: "roll back to the previous version", take: () => rollBack(release, why, parts) },
  ];
  for (let failures = 1; !parts.signal.aborted; failures += 1) {
    const failed: (Step & { error: unknown })[] = [];
    for (const step of steps) {
      await step.take().catch((error: unknown) => failed.push({ ...step, error }));
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
  parts.context.emit({ type: "crash-loop", tag: release.tag, crashes, action });
}

async function remember(
  release: AppRelease,
  why: string,
  { context: { clock, store } }: FallBackParts,
): Promise<void> {
  const now = clock.now();
  await store.update((state) => {
    const bad = findRelease(state, release.directory);
    return bad === undefined ? state : markBad(state, bad, why, now);
  });
}

async function rollBack(release: AppRelease, why: string, parts: FallBackParts): Promise<void> {
  const { directory, runner, context } = parts;
  // Without a target, only a newer version that is getting ready can replace the release.
  if ((await previousGood(release, parts)) === undefined) return;
  await context.switches.urgently(`${release.tag} keeps crashing`, async () => {
    const live = await directory.live();
    const state = await context.store.load();
    if (live !== release.directory && live === state.switching?.to) return; // A newer release serves.
    const isLive = live === release.directory;
    const to = isLive ? await previousGood(release, parts) : findRelease(state, live);
    if (to === undefined) return;
    if (isLive) await directory.point(to.directory);
    context.emit({ type: "rolled-back", tag: release.tag, to: to.tag, reason: why });
    if (isLive) await runner.ensureRunning({ tag: to.tag, directory: to.directory });
  });
}

async function previousGood(
  crashing: AppRelease,
  { directory, context }: FallBackParts,
): Promise<DeployedRelease | undefined> {
  const state = await context.store.load();
  const release = findRelease(state, crashing.directory);
  if (release === undefined) return undefined;
  // It may not be marked bad yet.
  const marked = markBad(state, release, "", 0);
  const previous = findRelease(marked, wayBack(marked, release.directory));
  if (previous === undefined || isBad(marked, previous.directory)) return undefined;
  return (await directory.has(previous.directory)) ? previous : undefined;
}
