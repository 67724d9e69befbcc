import type { AppRelease } from "../../deployers/runner.ts";

/** Watches a release from its rollout to the end of its bake: the loss of a replica fails it. */
export class Trial {
  readonly directory: string;
  readonly #failed = new AbortController();
  readonly #superseded = new AbortController();
  readonly #losses: Promise<unknown>[] = [];
  /** Aborted with the failure. */
  readonly failed: AbortSignal = this.#failed.signal;
  /** Aborted when a newer release takes over. */
  readonly superseded: AbortSignal = this.#superseded.signal;

  constructor(directory: string) {
    this.directory = directory;
  }

  fail(error: unknown): void {
    this.#failed.abort(error);
  }

  supersede(): void {
    this.#superseded.abort();
  }

  /** The verdict waits until the loss of a replica has been examined. */
  addLoss(examined: Promise<unknown>): void {
    this.#losses.push(examined);
  }

  async untilLossesExamined(): Promise<void> {
    await Promise.allSettled(this.#losses);
  }
}

interface Target {
  goal: AppRelease;
  /** The hash of its container options, once it is prepared. */
  config: string | undefined;
}

/**
 * The state of a service. A failed rollout keeps its goal until the caller rolls back.
 *
 * - `idle`: No release must serve. Adopted containers keep running.
 * - `rolling`: A rollout runs, with a `trial` if it is a deploy. The previous one may be `baking`.
 * - `baking`: The bake of the last deploy runs. Lost replicas fail it and are not replaced.
 * - `steady`: Lost replicas are replaced.
 */
export type ServiceState = (
  | { phase: "idle" }
  | ({ phase: "rolling"; trial: Trial | undefined; baking: Trial | undefined } & Target)
  | ({ phase: "baking"; baking: Trial } & Target)
  | ({ phase: "steady" } & Target)
) & {
  /** The directory of the release that failed last. It stops serving once another release does. */
  distrusted: string | undefined;
};

export type ServiceEvent =
  | { type: "rollout-started"; goal: AppRelease; trial: Trial | undefined }
  | { type: "rollout-prepared"; config: string }
  | { type: "rollout-finished" }
  | { type: "rollout-failed" }
  | { type: "bake-ended"; trial: Trial }
  | { type: "release-failed"; directory: string }
  | { type: "ended" };

export const IDLE: ServiceState = { phase: "idle", distrusted: undefined };

/** Events that do not apply in a phase leave the state unchanged. */
export function transition(state: ServiceState, event: ServiceEvent): ServiceState {
  const { distrusted } = state;
  switch (event.type) {
    case "rollout-started": {
      const { goal, trial } = event;
      const baking = bakingTrial(state);
      return { phase: "rolling", goal, config: undefined, trial, baking, distrusted };
    }
    case "rollout-prepared":
      return state.phase === "rolling" ? { ...state, config: event.config } : state;
    case "rollout-finished": {
      if (state.phase !== "rolling") return state;
      const { goal, trial, baking } = state;
      const isTrustedAgain = distrusted === goal.directory;
      return settled(state, trial ?? baking, isTrustedAgain ? undefined : distrusted);
    }
    case "rollout-failed":
      return state.phase === "rolling" ? settled(state, state.baking, distrusted) : state;
    case "bake-ended":
      if (state.phase === "idle" || bakingTrial(state) !== event.trial) return state;
      if (state.phase === "rolling") return { ...state, baking: undefined };
      return settled(state, undefined, distrusted);
    case "release-failed":
      return { ...state, distrusted: event.directory };
    case "ended":
      return { phase: "idle", distrusted };
  }
}

function settled(
  { goal, config }: Target,
  baking: Trial | undefined,
  distrusted: string | undefined,
): ServiceState {
  return baking === undefined
    ? { phase: "steady", goal, config, distrusted }
    : { phase: "baking", goal, config, baking, distrusted };
}

export function goalOf(state: ServiceState): AppRelease | undefined {
  return state.phase === "idle" ? undefined : state.goal;
}

export function configOf(state: ServiceState): string | undefined {
  return state.phase === "idle" ? undefined : state.config;
}

/** The trial of a deploy that has taken over. */
export function bakingTrial(state: ServiceState): Trial | undefined {
  return "baking" in state ? state.baking : undefined;
}

/** The trial that the loss of a replica of this release fails. */
export function trialOf(state: ServiceState, directory: string): Trial | undefined {
  const rolling = state.phase === "rolling" ? state.trial : undefined;
  return [rolling, bakingTrial(state)].find((trial) => trial?.directory === directory);
}
