import { access, mkdir, readdir, readlink, rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { onTestFinished } from "vitest";
import { runAgent } from "../../src/agent/agent.ts";
import type { CommandContext } from "../../src/agent/context.ts";
import type { Supervision } from "../../src/agent/types.ts";
import type { CacheStore } from "../../src/cache/types.ts";
import { readDeploying } from "../../src/cli/flags/deploy.ts";
import { parseArgv } from "../../src/cli/flags/parse.ts";
import { askInstance } from "../../src/control/client.ts";
import { chooseInstance } from "../../src/control/instances.ts";
import type { SteerCommand } from "../../src/control/protocol.ts";
import { systemClock } from "../../src/core/clock.ts";
import type { DewyEvent } from "../../src/core/event.ts";
import type { DeployState } from "../../src/deploy/state.ts";
import { assetsDeployer } from "../../src/deployers/assets.ts";
import {
  openReleaseDirectory,
  type ReleaseDirectory,
} from "../../src/deployers/release_directory.ts";
import type { StageRelease } from "../../src/deployers/stage_release.ts";
import { supervisedDeployer } from "../../src/deployers/supervised_deployer.ts";
import { lockPath, statePath } from "../../src/host/files/own_paths.ts";
import { readState } from "../../src/host/files/state_file.ts";
import { hostRegistries } from "../../src/host/registries.ts";
import { loadRegistry } from "../../src/registries/load.ts";
import { parsePolicy } from "../../src/verify/policy.ts";
import { fakeProcess } from "../cli/process.ts";
import { ready, type TestRegistry } from "../deploy/world.ts";
import { tempDirectory } from "../support/temp_directory.ts";
import { FakeRunner } from "./fake_runner.ts";
import { tagRegistry } from "./tag_registry.ts";

export interface Steered {
  root: string;
  registry: TestRegistry;
  events: DewyEvent[];
  /** The app of the process that runs now; a new start has a new one. */
  runner: FakeRunner;
  /** Delays and failures that the test wants. */
  stage: { slow: Set<string>; release(tag: string): void; isStaging(tag: string): boolean };
  publish(tag: string): void;
  start(argv?: readonly string[]): Promise<void>;
  stop(): Promise<number>;
  /** Runs another agent in the directory until it ends by itself. */
  runOnce(argv: readonly string[]): Promise<number>;
  /** As SIGKILL: the process does nothing any more, and its lock is stale. */
  kill(): Promise<void>;
  /** Gives a command over the control socket. */
  steer(command: SteerCommand, user?: string): Promise<{ text: string; progress: string[] }>;
  /** All progress lines. */
  progress: string[];
  live(): Promise<string | undefined>;
  state(): Promise<DeployState>;
}

interface Options {
  mode?: "assets" | "server";
  argv?: readonly string[];
  /** The store of `--cache`. */
  cache?: CacheStore;
}

/** An agent over a real directory and a real control socket; only the registry and the app are fakes. */
export async function steeredAgent({
  mode = "assets",
  argv = [],
  cache,
}: Options = {}): Promise<Steered> {
  const root = await tempDirectory();
  const runtime = await tempDirectory();
  const registry = tagRegistry();
  const events: DewyEvent[] = [];
  const env = { DEWY_RUNTIME_DIR: runtime };
  let stopNow: () => Promise<number> = async () => 0;
  let isDead = { value: false };
  const staging = new Map<string, () => void>();
  const slow = new Set<string>();
  const stageOf =
    (directory: ReleaseDirectory): StageRelease =>
    async ({ release: { tag } }, signal, record) => {
      if (slow.has(tag)) {
        await new Promise<void>((resolve, reject) => {
          staging.set(tag, resolve);
          signal.addEventListener("abort", () => reject(signal.reason));
        }).finally(() => staging.delete(tag));
      }
      const name = await directory.create(new Date(), async (path, created) => {
        await writeFile(join(path, "version.txt"), tag);
        await record({ directory: created });
      });
      return { directory: name };
    };
  const launch = async (more: readonly string[]): Promise<{ ended: Promise<number> }> => {
    const process = fakeProcess({ env });
    const dead = { value: false };
    isDead = dead;
    const url = cache === undefined ? `file://${root}` : "file:///registry";
    const args = [mode, "--registry", url, "--interval", "1h", ...argv, ...more];
    const config = { ...readDeploying(parseArgv(args)), command: mode };
    const command: CommandContext = {
      ...process,
      clock: systemClock,
      fetch,
      version: "0.0.0",
      io: {} as CommandContext["io"],
      registries: {},
      notifiers: {},
      caches: {},
      emit: (event) => void (dead.value || events.push(event)),
      redactor: () => (text) => text,
    };
    const { locator } = await loadRegistry(url, { ...command.io, registries: hostRegistries });
    const directory = await openReleaseDirectory(root);
    const runner = new FakeRunner();
    steered.runner = runner;
    const agent =
      mode === "assets"
        ? { deployer: assetsDeployer(directory, stageOf(directory)) }
        : supervised(directory, stageOf(directory), runner);
    const verify = parsePolicy(config.verify);
    const ended = runAgent({ config, root, registry, locator, cache, verify, ...agent }, command);
    ended.catch(() => {});
    stopNow = () => {
      process.kill("SIGTERM");
      return ended;
    };
    return { ended };
  };
  const steered: Steered = {
    root,
    registry,
    events,
    progress: [],
    runner: new FakeRunner(),
    stage: {
      slow,
      release: (tag) => staging.get(tag)?.(),
      isStaging: (tag) => staging.has(tag),
    },
    publish: (tag) => void registry.answers.unshift(ready(tag)),
    async start(more = []) {
      await launch(more);
      await steered.steer({ command: "poll" });
    },
    runOnce: async (more) => (await launch(more)).ended,
    stop: () => stopNow(),
    async kill() {
      isDead.value = true;
      await rm(lockPath(root));
      for (const name of await readdir(runtime)) await rm(join(runtime, name), { recursive: true });
    },
    async steer(command, user = "alice") {
      const progress: string[] = [];
      const instance = await reached(root, env);
      const request = { dewy: "0.0.0", operator: { user }, request: command };
      const { text } = await askInstance(instance, request, {
        onProgress: (line) => {
          progress.push(line);
          if (command.command !== "poll") steered.progress.push(line);
        },
        signal: new AbortController().signal,
      });
      return { text, progress };
    },
    live: async () => {
      const link = await readlink(join(root, "current")).catch(() => "");
      const { releases } = await readState(statePath(root));
      return releases.find(({ directory }) => directory === basename(link))?.tag;
    },
    state: () => readState(statePath(root)),
  };
  await mkdir(join(root, ".dewy"), { recursive: true });
  onTestFinished(async () => {
    if (!isDead.value) await stopNow().catch(() => {});
  });
  return steered;
}

async function reached(root: string, env: Record<string, string>) {
  for (let tries = 0; ; tries += 1) {
    const instance = await chooseInstance({ name: undefined, directory: root }, env);
    const { socket = "" } = instance;
    if (
      await access(socket).then(
        () => true,
        () => false,
      )
    )
      return instance;
    if (tries > 2_000) throw new Error("the agent did not start");
    await new Promise((resolve) => setImmediate(resolve));
  }
}

function supervised(directory: ReleaseDirectory, stage: StageRelease, runner: FakeRunner) {
  const tagOf = async (name: string): Promise<string | undefined> => {
    const { releases } = await readState(statePath(directory.root));
    return releases.find((one) => one.directory === name)?.tag;
  };
  const deployer = supervisedDeployer({
    ...{ directory, stage, runner, tagOf },
    bakeMs: 5_000,
    onStarted: () => {},
  });
  const supervision: Supervision = {
    begin: async () => {
      const live = await directory.live();
      if (live === undefined || runner.release?.directory === live) return;
      await runner.ensureRunning({ tag: (await tagOf(live)) ?? "", directory: live });
    },
    restart: (_by, signal) => runner.restart(signal),
    end: () => runner.end(),
  };
  return { deployer, supervision };
}
