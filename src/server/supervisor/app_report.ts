import type { Generation } from "./generation.ts";
import type { Orphan } from "./orphans.ts";

/** The supervisor's view of the app at one moment. */
export interface AppView {
  /** Every generation that may still run. */
  living: Iterable<Generation | Orphan>;
  /** It serves, or is about to be restarted. */
  current: Generation | undefined;
  /** It gets ready. */
  starting: Generation | undefined;
  standby: Generation | undefined;
  isRestarting: boolean;
  restarts: number;
}

type Health = "serving" | "starting" | "restarting" | "finished" | "down";
type GenerationState = "starting" | "serving" | "standby" | "draining";

/** Describes the app for `dewy status`. */
export function appReport(view: AppView) {
  const running = [...view.living].filter((one) => one.isRunning());
  return {
    health: healthOf(view, running),
    generations: running.map((one) => generationReport(one, view)),
    restarts: view.restarts,
  };
}

function healthOf(
  { current, starting, isRestarting }: AppView,
  running: readonly (Generation | Orphan)[],
): Health {
  if (current !== undefined && !current.hasEnded) return "serving";
  if (isRestarting) return "restarting";
  if (current !== undefined) return "finished";
  // Orphans serve until the first generation of this process is ready.
  if (running.some((one) => !("release" in one))) return "serving";
  return starting === undefined ? "down" : "starting";
}

function generationReport(one: Generation | Orphan, view: AppView) {
  const { number, pid } = one;
  const isOrphan = !("release" in one);
  return {
    ...(number === undefined ? {} : { number }),
    pid,
    tag: isOrphan ? one.tag : one.release.tag,
    state: stateOf(one, view),
    ...(isOrphan ? {} : { since: new Date(one.startedAt).toISOString() }),
  };
}

function stateOf(
  one: Generation | Orphan,
  { current, starting, standby }: AppView,
): GenerationState {
  if (one === current) return "serving";
  if (one === starting) return "starting";
  if (one === standby) return "standby";
  return "release" in one || current !== undefined ? "draining" : "serving";
}
