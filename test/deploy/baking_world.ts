import type { DewyError } from "../../src/core/error.ts";
import type { BakeOutcome } from "../../src/deploy/deployer.ts";
import { FailedCandidates } from "../../src/deploy/failed_candidates.ts";
import { type TickResult, tick } from "../../src/deploy/tick.ts";
import { ready, type TestWorld, testRegistry, testWorld } from "./world.ts";

/** A bake whose outcome the test decides. */
interface Bake {
  pass(): void;
  fail(error: DewyError): void;
  supersede(): void;
}

/** A version that is getting ready; the test decides how that ends. */
interface GettingReady {
  succeed(): void;
  fail(error: Error): void;
}

/** A {@link TestWorld} whose versions bake. */
export interface BakingWorld extends TestWorld {
  /** Publishes a version and polls. */
  publish(tag: string): Promise<TickResult>;
  /** Polls. */
  look(): Promise<TickResult>;
  /** The results of deploys that continued after a poll. */
  settled: (TickResult | undefined)[];
  /** The bake of a version. */
  bake(tag: string): Bake;
  /** Versions that do not become ready until the test decides. */
  slow: Set<string>;
  /** Waits until a version is getting ready. */
  gettingReady(tag: string): Promise<GettingReady>;
  /** The tag of a directory. */
  tagOf(directory: string | undefined): string | undefined;
  /** Stops dewy. */
  stop: AbortController;
}

const POLICY = {
  preRelease: false,
  calver: "",
  constraint: "",
  slot: "",
  artifact: "",
  acceptChanged: [],
};

/** Returns a test world in which v1.0.0 has passed its bake. */
export async function bakingWorld(): Promise<BakingWorld> {
  const registry = testRegistry();
  const base = testWorld(registry);
  const { deployer, clock } = base.io;
  const bakes = new Map<string, Bake>();
  const attempts = new Map<string, GettingReady>();
  const stop = new AbortController();
  const failed = new FailedCandidates({ intervalMs: 0, clock, random: () => 0.5 });
  const world: BakingWorld = Object.assign(base, {
    settled: [] as BakingWorld["settled"],
    slow: new Set<string>(),
    stop,
    look: (): Promise<TickResult> =>
      tick(
        {
          policy: POLICY,
          failed,
          later: (settled) => {
            void settled.then((result) => void world.settled.push(result));
          },
        },
        base.io,
        stop.signal,
      ),
    publish: (tag: string): Promise<TickResult> => {
      registry.answers.unshift(ready(tag));
      return world.look();
    },
    bake: (tag: string): Bake => {
      const found = bakes.get(tag);
      if (found === undefined) throw new Error(`${tag} is not being watched`);
      return found;
    },
    gettingReady: async (tag: string): Promise<GettingReady> => {
      await until(() => attempts.has(tag));
      return attempts.get(tag) as GettingReady;
    },
    tagOf: (directory: string | undefined): string | undefined =>
      base.state().releases.find((release) => release.directory === directory)?.tag,
  });
  const { verify } = deployer;
  deployer.verify = async (release, signal) => {
    await verify(release, signal);
    if (world.slow.has(release.tag)) {
      await new Promise<void>((succeed, fail) => {
        attempts.set(release.tag, { succeed, fail });
        signal.addEventListener("abort", () => fail(signal.reason), { once: true });
      }).finally(() => attempts.delete(release.tag));
    }
    for (const one of bakes.values()) one.supersede();
  };
  deployer.bake = ({ tag }, signal) => {
    const over = new AbortController();
    return new Promise<BakeOutcome>((resolve, reject) => {
      const pass = (): void => resolve("proven");
      bakes.set(tag, { pass, fail: reject, supersede: () => resolve("superseded") });
      signal.addEventListener("abort", pass, { signal: over.signal });
    }).finally(() => {
      over.abort();
      bakes.delete(tag);
    });
  };
  await world.publish("v1.0.0");
  world.bake("v1.0.0").pass();
  await until(() => world.settled.length === 1);
  world.settled.length = 0;
  world.events.length = 0;
  world.steps.length = 0;
  return world;
}

/** Waits for a condition. */
export async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`did not come: ${condition}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}
