import type { Context } from "../core/context.ts";
import type { HookResult } from "../core/event.ts";
import type { Artifact, Registry, Release } from "../core/types.ts";
import type { DeployedRelease, Retention, StateStore } from "./state.ts";
import type { Switches } from "./switches.ts";

export interface Candidate {
  release: Release;
  artifact: Artifact;
  /** Whether `artifact=` is the exact name of the artifact: if it is not an archive, it then keeps that name. */
  isNamed?: boolean;
}

/** A complete release directory. */
export interface Staged {
  directory: string;
  /** Set if staging has computed it. */
  digest?: string;
}

/** How a bake ended without a failure: the release has passed it, or a newer release has taken over before its end. */
export type BakeOutcome = "proven" | "superseded";

/**
 * What differs between the commands: how a version becomes a directory or a container, and how it is made live. The order
 * of the steps, the state and the reports are the same for all commands.
 */
export interface Deployer {
  live(): Promise<string | undefined>;
  /**
   * Creates a complete release. `record` saves it to the state just before its directory gets its final name: if either
   * fails, nothing is left behind, and a crash never leaves a release without a record.
   */
  stage(
    candidate: Candidate,
    signal: AbortSignal,
    record: (staged: Staged) => Promise<void>,
  ): Promise<Staged>;
  has(directory: string): Promise<boolean>;
  /** The absolute path of a directory, for hooks and messages. */
  path(directory: string): string;
  activate(release: DeployedRelease, signal: AbortSignal): Promise<void>;
  /** Makes an earlier directory live again, or none. */
  restore(directory: string | undefined): Promise<void>;
  /** Resolves once the live release serves; rejects with the reason if it does not. */
  verify(release: DeployedRelease, signal: AbortSignal): Promise<void>;
  /** Watches a release that serves; rejects with the reason if it fails. Absent if there is nothing to watch. */
  bake?(release: DeployedRelease, signal: AbortSignal): Promise<BakeOutcome>;
  /** Removes incomplete releases and temporary files that a crash has left. */
  clean(): Promise<void>;
  /**
   * Removes old releases that no process uses, and returns their names. `retention` must be called after the directories
   * have been listed: a release that is staged at the same time is then either not listed or already on record.
   */
  prune(retention: () => Promise<Retention>): Promise<readonly string[]>;
}

/** Variables that a hook gets in addition to dewy's own environment. */
export interface HookVariables {
  tag: string;
  previousTag: string | undefined;
  releaseDirectory: string;
  command: string;
}

/** Runs a hook; `undefined` if it is not configured. */
export type RunHook = (
  when: HookResult["when"],
  variables: HookVariables,
  signal: AbortSignal,
) => Promise<HookResult | undefined>;

export interface DeployContext extends Pick<Context, "clock" | "emit"> {
  registry: Registry;
  deployer: Deployer;
  store: StateStore;
  runHook: RunHook;
  switches: Switches;
  /** `assets`, `server` or `container`. */
  command: string;
  /** The name of this machine, for the audit record. */
  host: string;
}
