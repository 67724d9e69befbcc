import type { Clock } from "../../src/core/clock.ts";
import type { DewyEvent } from "../../src/core/event.ts";
import type {
  Artifact,
  Deployment,
  NoneReason,
  Registry,
  Resolution,
  ResolveOptions,
} from "../../src/core/types.ts";
import type {
  Candidate,
  DeployContext,
  Deployer,
  HookVariables,
} from "../../src/deploy/deployer.ts";
import { ReportSchedule } from "../../src/deploy/report_schedule.ts";
import { bakeAndCommit, takeOver } from "../../src/deploy/sequence.ts";
import {
  type DeployedRelease,
  type DeployState,
  EMPTY_STATE,
  type StateStore,
} from "../../src/deploy/state.ts";
import { Switches } from "../../src/deploy/switches.ts";
import { parseVersion } from "../../src/version/version.ts";

/** A clock whose sleeps end at once and are recorded. */
export function jumpingClock(start: number = Date.UTC(2026, 0, 1)): Clock & { slept: number[] } {
  let now = start;
  const slept: number[] = [];
  return {
    slept,
    now: () => now,
    monotonic: () => now,
    sleep: async (ms, signal) => {
      signal?.throwIfAborted();
      slept.push(ms);
      now += ms;
    },
  };
}

/** A version as a registry returns it. */
export function candidate(tag: string, artifact: Partial<Artifact> = {}): Candidate {
  const version = parseVersion(tag);
  if (version === undefined) throw new Error(`${tag} is not a version`);
  return {
    release: { id: `id-${tag}`, tag, version },
    artifact: { name: "app.tar.gz", url: `test://${tag}`, revision: `rev-${tag}`, ...artifact },
  };
}

/** The answer "this one". */
export function ready(tag: string, artifact: Partial<Artifact> = {}): Resolution {
  return { kind: "ready", ...candidate(tag, artifact) };
}

/** The answer "nothing". */
export function nothing(reason: Exclude<NoneReason, "artifact-missing"> = "empty"): Resolution {
  return { kind: "none", reason, message: `nothing: ${reason}` };
}

/** A registry whose answers the test sets. */
export interface TestRegistry extends Registry {
  /** Newest first; the first that is not excluded is returned. */
  answers: Resolution[];
  gone: Set<string>;
  reports: Deployment[];
  reportError: Error | undefined;
}

export function testRegistry(...answers: Resolution[]): TestRegistry {
  const registry: TestRegistry = {
    answers,
    gone: new Set(),
    reports: [],
    reportError: undefined,
    resolve: async ({ exclude = [], tag }: ResolveOptions = {}) => {
      if (tag !== undefined) {
        return registry.answers.find((answer) => tagOf(answer) === tag) ?? nothing("unknown-tag");
      }
      const excluded = new Set(exclude);
      const left = registry.answers.filter((answer) => !excluded.has(tagOf(answer)));
      return left[0] ?? nothing("filtered");
    },
    open: async () => {
      throw new Error("not asked in these tests");
    },
    exists: async (tag) => !registry.gone.has(tag),
    report: async (deployment) => {
      registry.reports.push(deployment);
      if (registry.reportError !== undefined) throw registry.reportError;
    },
  };
  return registry;
}

function tagOf(answer: Resolution): string {
  if (answer.kind === "ready") return answer.release.tag;
  return answer.tag ?? "";
}

/** The steps that a test can make fail. */
export type FailingStep =
  | "stage"
  | "activate"
  | "verify"
  | "restore"
  | "prune"
  | "save"
  | "save-commit";

/** A deployer, a store and hooks in memory. */
export interface TestWorld {
  io: DeployContext;
  registry: TestRegistry;
  events: DewyEvent[];
  /** The steps that were run, in order. */
  steps: string[];
  fail: Partial<Record<FailingStep, Error>>;
  hooks: Partial<Record<"before" | "after", number>>;
  hookContexts: HookVariables[];
  directories: Set<string>;
  state(): DeployState;
  live(): string | undefined;
  setLive(directory: string | undefined): void;
  setState(state: DeployState): void;
}

/** Returns dependencies in memory with nothing deployed. */
export function testWorld(registry: TestRegistry = testRegistry()): TestWorld {
  let state: DeployState = EMPTY_STATE;
  let live: string | undefined;
  let made = 0;
  const clock = jumpingClock();
  const world: TestWorld = {
    registry,
    events: [],
    steps: [],
    fail: {},
    hooks: {},
    hookContexts: [],
    directories: new Set(),
    state: () => state,
    live: () => live,
    setLive: (directory) => {
      live = directory;
    },
    setState: (next) => {
      state = next;
    },
    io: {
      registry,
      deployer: deployer(),
      store: store(),
      runHook: async (when, context, signal) => {
        const exitCode = world.hooks[when];
        if (exitCode === undefined) return undefined;
        signal.throwIfAborted();
        world.steps.push(`hook ${when}`);
        world.hookContexts.push(context);
        return {
          when,
          command: when,
          exitCode,
          stdout: "",
          stderr: "",
          durationMs: 1,
          timedOut: false,
        };
      },
      switches: new Switches(),
      reports: new ReportSchedule(() => 0.5),
      clock,
      emit: (event) => world.events.push(event),
      command: "assets",
      host: "Web-1",
    },
  };
  return world;

  function step(name: FailingStep, text: string): void {
    world.steps.push(text);
    const error = world.fail[name];
    if (error !== undefined) throw error;
  }

  function store(): StateStore {
    return {
      load: async () => state,
      update: async (change) => {
        if (world.fail.save !== undefined) throw world.fail.save;
        const next = change(state);
        const commits = state.switching !== undefined && next.switching === undefined;
        if (commits && world.fail["save-commit"] !== undefined) throw world.fail["save-commit"];
        state = next;
        return state;
      },
    };
  }

  function deployer(): Deployer {
    return {
      live: async () => live,
      has: async (directory) => world.directories.has(directory),
      path: (directory) => `/app/releases/${directory}`,
      stage: async ({ release }, _signal, record) => {
        step("stage", `stage ${release.tag}`);
        const staged = { directory: `d${++made}` };
        await record(staged);
        world.directories.add(staged.directory);
        return staged;
      },
      activate: async (release) => {
        step("activate", `activate ${release.tag}`);
        live = release.directory;
      },
      restore: async (directory) => {
        step("restore", `restore ${directory ?? "nothing"}`);
        live = directory;
      },
      verify: async (release) => step("verify", `verify ${release.tag}`),
      clean: async () => {
        world.steps.push("clean");
      },
      prune: async (retention) => {
        step("prune", "prune");
        const listed = [...world.directories];
        const { keep, others } = await retention();
        const rest = listed.filter((directory) => !keep.has(directory));
        const removed = rest.slice(0, Math.max(0, rest.length - others));
        for (const directory of removed) world.directories.delete(directory);
        return removed;
      },
    };
  }
}

/** A signal that is never aborted. */
export function never(): AbortSignal {
  return new AbortController().signal;
}

/** The events of one type. */
export function eventsOf<T extends DewyEvent["type"]>(
  events: readonly DewyEvent[],
  type: T,
): Extract<DewyEvent, { type: T }>[] {
  return events.filter((event): event is Extract<DewyEvent, { type: T }> => event.type === type);
}

/** Deploys one version, and waits for the end of its bake. */
export async function deploy(
  version: Candidate,
  context: DeployContext,
  signal: AbortSignal,
): Promise<DeployedRelease> {
  const trial = await takeOver(version, context, signal);
  await bakeAndCommit(trial, context, signal);
  return trial.release;
}
