/** A wave whose hosts have finished their bake. */
export interface CheckedWave {
  tag: string;
  /** From 1. */
  wave: number;
  /** The hosts that run the version. */
  hosts: readonly string[];
}

export type CheckAnswer = { ok: true } | { ok: false; reason: string };

/**
 * Asked before the next wave begins. An answer halts the rollout or lets it go on. Rejects with a DewyError if there is no
 * answer now; it is then asked again.
 */
export type RolloutCheck = (wave: CheckedWave, signal: AbortSignal) => Promise<CheckAnswer>;

/** `--rollout-check`, as read. */
export type RolloutCheckConfig =
  | { kind: "command"; command: string }
  | { kind: "prometheus"; url: string; query: string };
