import type { Context } from "../core/context.ts";
import type { HookResult } from "../core/event.ts";
import type { Proof } from "../core/proof.ts";
import type { Artifact, Registry, Release } from "../core/types.ts";
import type { VerifyPolicy } from "../verify/policy.ts";
import type { ReportSchedule } from "./report_schedule.ts";
import type { DeployedRelease, Retention, StateStore } from "./state.ts";
import type { Switches } from "./switches.ts";

export interface Candidate {
  release: Release;
  artifact: Artifact;
  /** Whether `artifact=` is its exact name: if it is not an archive, it then keeps that name. */
  isNamed?: boolean;
  /** The files of the release, for its verification. */
  files?: readonly Artifact[];
  /** What the registry lists, if it lists its tags and no operator has named the version. */
  listing?: { tags: ReadonlySet<string>; calver: string };
}

export interface Staged {
  directory: string;
  /** `sha256:…` */
  digest?: string;
  /** What the verification has proved. */
  proofs?: readonly Proof[];
}

/** Superseded: a newer release has taken over before the end of the bake. */
export type BakeOutcome = "proven" | "superseded";

/** The steps that differ between the commands. Their order is the same for all commands. */
export interface Deployer {
  live(): Promise<string | undefined>;
  /**
   * Creates a complete release. `record` saves it to the state just before its directory gets its
   * final name: a crash never leaves a release without a record.
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
  /**
   * Lets a release that is on this machine serve instead of the live one, without the registry and without a bake. If it
   * does not become ready, the live one keeps serving, or does so after {@link restore}. Absent if {@link activate} is all.
   */
  takeBack?(release: DeployedRelease, signal: AbortSignal): Promise<void>;
  /** How long {@link bake} watches, in milliseconds. */
  readonly bakeMs?: number;
  /** Watches a release that serves; rejects with the reason if it fails. */
  bake?(release: DeployedRelease, signal: AbortSignal): Promise<BakeOutcome>;
  /** Removes incomplete releases and temporary files that a crash has left. */
  clean(): Promise<void>;
  /**
   * Removes old releases that no process uses, and returns their names. Call `retention` after the
   * directories have been listed: a release that is being staged is then not listed or on record.
   */
  prune(retention: () => Promise<Retention>): Promise<readonly string[]>;
}

export interface HookVariables {
  tag: string;
  previousTag: string | undefined;
  releaseDirectory: string;
  command: string;
}

/** Returns `undefined` if the hook is not configured. */
export type RunHook = (
  when: HookResult["when"],
  variables: HookVariables,
  signal: AbortSignal,
) => Promise<HookResult | undefined>;

/** What a fleet answers to a host that wants to take a version. */
export type FleetVerdict =
  | { kind: "go" }
  | { kind: "wait"; reason: string }
  /** Nothing runs on the host yet: it takes the version last rolled out completely. */
  | { kind: "instead"; tag: string; reason: string };

/** Decides when this host may take a version that its registry offers. */
export interface FleetGate {
  /** Asked before each automatic deploy. Trouble with the store is a wait; rejects only if the signal is aborted. */
  admit(
    version: { tag: string; running: string | undefined },
    signal: AbortSignal,
  ): Promise<FleetVerdict>;
}

export interface DeployContext extends Pick<Context, "clock" | "emit"> {
  registry: Registry;
  deployer: Deployer;
  store: StateStore;
  runHook: RunHook;
  switches: Switches;
  reports: ReportSchedule;
  command: string;
  /** The CalVer format of the tags. Defaults to SemVer. */
  calver?: string | undefined;
  /** Tags whose bytes may differ from the known ones once. Defaults to none. */
  acceptChanged?: readonly string[];
  /** What {@link Deployer.stage} verifies. Defaults to `none`. */
  verify?: VerifyPolicy;
  /** The name of this machine, for the audit record. */
  host: string;
  /** Absent without `--fleet`. */
  fleet?: FleetGate | undefined;
}
