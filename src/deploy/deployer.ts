import type { Clock } from "../core/clock.ts";
import type { DewyEvent, EventSink, HookResult } from "../core/event.ts";
import type { Artifact, Registry, Release } from "../core/types.ts";
import type { DeployedRelease, StateStore } from "./state.ts";
import type { Switches } from "./switches.ts";

/** A version that can be deployed. */
export interface Candidate {
  release: Release;
  artifact: Artifact;
  /** Whether `artifact=` is the artifact's very name: outside of an archive it keeps that name. */
  isNamed?: boolean;
}

/** A release that has been made. */
export interface Staged {
  /** The name of its directory. */
  directory: string;
  /** The digest of the artifact's bytes, where staging has computed it. */
  digest?: string;
}

/** How a bake ended without a failure: the release has passed it, or a newer one has taken over before its end. */
export type BakeOutcome = "proven" | "superseded";

/**
 * What differs between the commands: how a version becomes a directory or a container, and how it is
 * made live. The order of the steps, the memory and the reports are the same for all.
 */
export interface Deployer {
  /** The directory that is live, or `undefined`. */
  live(): Promise<string | undefined>;
  /**
   * Makes a complete release. `record` writes it down just before its directory gets its final name: a failure of either
   * leaves nothing behind, and no crash leaves a release that is not on record.
   */
  stage(
    candidate: Candidate,
    signal: AbortSignal,
    record: (staged: Staged) => Promise<void>,
  ): Promise<Staged>;
  /** Whether the directory of a release is there. */
  has(directory: string): Promise<boolean>;
  /** The absolute path of a directory, for hooks and messages. */
  path(directory: string): string;
  /** Makes a release live. */
  activate(release: DeployedRelease, signal: AbortSignal): Promise<void>;
  /** Goes back to a directory, or to none. */
  restore(directory: string | undefined): Promise<void>;
  /** Resolves when the live release serves; rejects with the reason when it does not. */
  verify(release: DeployedRelease, signal: AbortSignal): Promise<void>;
  /** Watches a release that serves; rejects with the reason when it fails. Absent where there is nothing to watch. */
  bake?(release: DeployedRelease, signal: AbortSignal): Promise<BakeOutcome>;
  /** Removes half-made releases and temporary files that a crash left. */
  clean(): Promise<void>;
  /** Removes all releases but those in `keep`, those in use, and the newest `others`; returns the removed ones. */
  prune(keep: ReadonlySet<string>, others: number): Promise<readonly string[]>;
}

/** Variables that a hook gets beside dewy's own environment. */
export interface HookVariables {
  tag: string;
  previousTag: string | undefined;
  releaseDirectory: string;
  command: string;
}

/** Runs the hooks that are configured; `undefined` when there is none. */
export type RunHook = (
  when: HookResult["when"],
  context: HookVariables,
  signal: AbortSignal,
) => Promise<HookResult | undefined>;

/** Everything a deploy needs, passed in. */
export interface DeployIo {
  /** Where versions come from. */
  registry: Registry;
  /** How they become live. */
  deployer: Deployer;
  /** What is remembered. */
  store: StateStore;
  /** The hooks. */
  runHook: RunHook;
  /** The changes of what is live. */
  switches: Switches;
  /** Time. */
  clock: Clock;
  /** Hears of everything. */
  emit: EventSink;
  /** `assets`, `server` or `container`. */
  command: string;
  /** The name of this machine, for the audit record. */
  host: string;
}

/** The phases that a `phase` event can name. */
export type Phase = Extract<DewyEvent, { type: "phase" }>["phase"];
