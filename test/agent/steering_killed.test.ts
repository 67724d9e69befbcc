import { describe, expect, it } from "vitest";
import { Polls } from "../../src/agent/polls.ts";
import { Steering } from "../../src/agent/steering.ts";
import type { SteerCommand } from "../../src/control/protocol.ts";
import { RemoteError } from "../../src/core/error.ts";
import type { DeployContext } from "../../src/deploy/deployer.ts";
import { recover, settle } from "../../src/deploy/recover.ts";
import { bakeAndCommit } from "../../src/deploy/sequence.ts";
import { findRelease } from "../../src/deploy/state.ts";
import { Switches } from "../../src/deploy/switches.ts";
import { until } from "../deploy/baking_world.ts";
import { candidate, deploy, eventsOf, never, type TestWorld, testWorld } from "../deploy/world.ts";
import { tagRegistry } from "./tag_registry.ts";

/** The step at which dewy is killed: just before or just after it had its effect. */
interface Death {
  at: number;
  isAfter: boolean;
}

/** A machine on which v1.0.0 and v1.1.0 have been deployed; killed processes do nothing any more. */
class Machine {
  readonly world: TestWorld;
  /** The steps that a kill can hit, as far as they have begun. */
  readonly steps: string[] = [];
  restarts = 0;
  /** The directory of the app that runs. */
  running: string | undefined;
  #death: Death | undefined;
  #isDead = false;
  #die = (): void => {};
  readonly died: Promise<void> = new Promise((resolve) => {
    this.#die = resolve;
  });

  constructor(world: TestWorld) {
    this.world = world;
    this.running = world.live();
  }

  static async create(): Promise<Machine> {
    const world = testWorld(tagRegistry("v1.2.0", "v1.1.0", "v1.0.0"));
    world.hooks = { before: 0, after: 0 };
    for (const tag of ["v1.0.0", "v1.1.0"]) await deploy(candidate(tag), world.io, never());
    world.events.length = 0;
    return new Machine(world);
  }

  /** What a dewy process does from its start to its first poll. */
  async start(death?: Death): Promise<Steering> {
    this.#death = death;
    this.#isDead = false;
    this.steps.length = 0;
    const context = this.#context();
    const recovered = await recover(context, never());
    this.running = this.world.live();
    const steering = new Steering({
      context,
      supervision: {
        begin: async () => {},
        restart: () =>
          this.#step("restart", async () => {
            this.restarts += 1;
          }),
        end: async () => {},
      },
      polls: new Polls(),
      stop: never(),
      background: (work) => void work.catch(() => {}),
      subscribe: () => () => {},
    });
    const trial = await steering.begin(recovered);
    if (trial !== undefined) await bakeAndCommit(trial, context, never());
    await settle(context, never());
    return steering;
  }

  #context(): DeployContext {
    const { io, events } = this.world;
    const { deployer, store, runHook } = io;
    const serve = (name: string) => (release: { directory: string }) =>
      this.#step(name, async () => {
        this.running = release.directory;
      });
    return {
      ...io,
      switches: new Switches(),
      emit: (event) => void (this.#isDead || events.push(event)),
      store: { ...store, update: (change) => this.#step("save", () => store.update(change)) },
      runHook: (...call) => this.#step(`hook ${call[0]}`, () => runHook(...call)),
      deployer: {
        ...deployer,
        stage: (...call) => this.#step("stage", () => deployer.stage(...call)),
        activate: (...call) => this.#step("activate", () => deployer.activate(...call)),
        restore: (directory) =>
          this.#step("restore", async () => {
            await deployer.restore(directory);
            this.running = directory;
          }),
        verify: serve("verify"),
        takeBack: serve("take back"),
        bake: () => this.#step("bake", async () => "proven" as const),
      },
    };
  }

  async #step<T>(name: string, work: () => Promise<T>): Promise<T> {
    if (this.#isDead) return new Promise<T>(() => {});
    const death = this.#death?.at === this.steps.length ? this.#death : undefined;
    this.steps.push(name);
    if (death?.isAfter === false) return this.#kill<T>();
    const result = await work();
    return death === undefined ? result : this.#kill<T>();
  }

  #kill<T>(): Promise<T> {
    this.#isDead = true;
    this.running = undefined;
    this.#die();
    return new Promise<T>(() => {});
  }
}

const COMMANDS: readonly { command: SteerCommand; to: string; skips?: string }[] = [
  { command: { command: "rollback" }, to: "v1.0.0", skips: "v1.1.0" },
  { command: { command: "deploy", tag: "v1.0.0" }, to: "v1.0.0", skips: "v1.1.0" },
  { command: { command: "deploy", tag: "v1.2.0" }, to: "v1.2.0" },
  { command: { command: "pin", tag: "v1.0.0" }, to: "v1.0.0" },
  { command: { command: "restart" }, to: "v1.1.0" },
];

describe.each(COMMANDS)("a kill during $command", ({ command, to, skips }) => {
  it("at any step loses no order that is on record, and does none twice", async () => {
    const whole = await Machine.create();
    const steering = await whole.start();
    whole.steps.length = 0;
    await steering.steer(command, { user: "alice" }, () => {});
    const steps = [...whole.steps];
    const deaths = steps.flatMap((_, at) => [false, true].map((isAfter) => ({ at, isAfter })));
    expect(deaths.length).toBeGreaterThan(4);
    for (const { at, isAfter } of deaths) {
      const death = `${isAfter ? "after" : "before"} step ${at} of ${steps}`;
      const machine = await Machine.create();
      const first = await machine.start({ at, isAfter });
      void first.steer(command, { user: "alice" }, () => {}).catch(() => {});
      await machine.died;
      await machine.start();
      const state = machine.world.state();
      const live = machine.world.live();
      const isAccepted = at > 0 || isAfter;
      expect({
        death,
        live: findRelease(state, live)?.tag,
        running: machine.running,
        left: [state.order, state.switching, state.afterHook, state.bad],
        skipped: state.skipped?.map(({ tag }) => tag),
        pinned: state.pinned?.tag,
      }).toEqual({
        death,
        live: isAccepted ? to : "v1.1.0",
        running: live,
        left: [undefined, undefined, undefined, []],
        skipped: isAccepted && skips !== undefined ? [skips] : undefined,
        pinned: isAccepted && command.command === "pin" ? command.tag : undefined,
      });
      const { events } = machine.world;
      const done = [...eventsOf(events, "rolled-back"), ...eventsOf(events, "deployed")];
      expect({ death, done: done.length <= 1 }).toEqual({ death, done: true });
      if (command.command === "restart" && isAccepted) {
        expect({ death, restarts: machine.restarts >= 1 }).toEqual({ death, restarts: true });
      }
    }
  });
});

it("keeps an order that was found at the start until the registry answers again", async () => {
  const machine = await Machine.create();
  const { world } = machine;
  const first = await machine.start({ at: 0, isAfter: true });
  void first
    .steer({ command: "deploy", tag: "v1.2.0" }, { user: "alice" }, () => {})
    .catch(() => {});
  await machine.died;
  const { resolve } = world.registry;
  let outages = 0;
  world.registry.resolve = async (options) => {
    outages += 1;
    if (outages <= 3) throw new RemoteError("no route to host");
    return resolve(options);
  };
  await machine.start();
  await until(() => world.state().order === undefined);
  expect(findRelease(world.state(), world.live())?.tag).toBe("v1.2.0");
  const failures = eventsOf(world.events, "failed");
  expect(failures.map(({ count, retryInMs }) => [count, retryInMs !== undefined])).toEqual([
    [1, true],
    [2, true],
    [3, true],
  ]);
});
