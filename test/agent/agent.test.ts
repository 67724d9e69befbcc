import { expect, it } from "vitest";
import { runAgent, type Supervision, statePath } from "../../src/agent/agent.ts";
import type { CommandContext } from "../../src/agent/context.ts";
import { readDeploying } from "../../src/cli/flags/deploy.ts";
import { parseArgv } from "../../src/cli/flags/parse.ts";
import { AbortedError, HostError } from "../../src/core/error.ts";
import type { DewyEvent } from "../../src/core/event.ts";
import { deployedRelease, EMPTY_STATE } from "../../src/deploy/state.ts";
import { stateFile } from "../../src/host/files/state_file.ts";
import { hostRegistries } from "../../src/host/registries.ts";
import { loadRegistry } from "../../src/registries/load.ts";
import { fakeProcess } from "../cli/process.ts";
import { until } from "../deploy/baking_world.ts";
import { candidate, eventsOf, testWorld } from "../deploy/world.ts";
import { fakeClock } from "../fakes/clock.ts";
import { tempDirectory } from "../support/temp_directory.ts";

interface TestAgent {
  world: ReturnType<typeof testWorld>;
  events: DewyEvent[];
  root: string;
  /** Runs the agent until it is stopped. */
  run(supervision: Supervision): Promise<number>;
  wake(signal: string): void;
  stop(): void;
}

async function testAgent(): Promise<TestAgent> {
  const [root, made, wakers] = [await tempDirectory(), testWorld(), new Set<Waker>()];
  const events: DewyEvent[] = [];
  const process = fakeProcess({ env: { DEWY_RUNTIME_DIR: await tempDirectory() } });
  const onReload = (waker: Waker): (() => void) => {
    wakers.add(waker);
    return () => wakers.delete(waker);
  };
  const world: CommandContext = {
    ...process,
    ...{ signals: { ...process.signals, onReload }, clock: fakeClock(), fetch, version: "0.0.0" },
    ...{ io: {} as CommandContext["io"], registries: {}, notifiers: {}, caches: {} },
    emit: (event) => events.push(event),
    redactor: () => (text) => text,
  };
  const { registry, io } = made;
  const url = "file:///registry";
  const config = { ...readDeploying(parseArgv(["server", "--registry", url])), command: "server" };
  const { locator } = await loadRegistry(url, { ...world.io, registries: hostRegistries });
  return {
    world: made,
    events,
    root,
    run: (supervision) =>
      runAgent(
        {
          config,
          root,
          registry,
          locator,
          deployer: io.deployer,
          verify: { mode: "auto" },
          supervision,
        },
        world,
      ),
    wake: (signal) => {
      for (const waker of wakers) waker(signal);
    },
    stop: () => process.kill("SIGTERM"),
  };
}

type Waker = (signal: string) => void;

it("does not report a restart of the app as failed when dewy is stopped meanwhile", async () => {
  const agent = await testAgent();
  let [hasBegun, isRestarting] = [false, false];
  const ended = agent.run({
    begin: async () => {
      hasBegun = true;
    },
    restart: (_by, signal) =>
      new Promise((_, reject) => {
        isRestarting = true;
        signal.addEventListener("abort", () => reject(new AbortedError("stopped")));
      }),
    end: async () => {},
  });
  await until(() => hasBegun);
  agent.wake("SIGHUP");
  await until(() => isRestarting);
  agent.stop();
  expect(await ended).toBe(0);
  expect(eventsOf(agent.events, "warning")).toEqual([]);
});

it("reports why a version failed whose bake was resumed after a kill", async () => {
  const agent = await testAgent();
  const { io, directories, setLive } = agent.world;
  const { release, artifact } = candidate("v1.0.0");
  const releases = [deployedRelease(release, artifact, "d1", 0)];
  await stateFile(statePath(agent.root), () => {}).update(() => {
    return { ...EMPTY_STATE, releases, switching: { to: "d1" } };
  });
  directories.add("d1");
  setLive("d1");
  io.deployer.bake = () => Promise.reject(new HostError("the engine is gone"));
  const ended = agent.run({ begin: async () => {}, restart: async () => {}, end: async () => {} });
  const failures = (): string[] =>
    eventsOf(agent.events, "failed").flatMap(({ tag, error }) => (tag ? `${tag}: ${error}` : []));
  await until(() => failures().length > 0);
  agent.stop();
  await ended;
  expect(failures()).toEqual([expect.stringMatching(/^v1\.0\.0: .*the engine is gone/)]);
});
