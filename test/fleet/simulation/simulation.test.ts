import { expect, test } from "vitest";
import { World, type WorldOptions } from "../world/world.ts";
import { type FaultRates, FaultyNetwork, failMachines, type MachineFaults } from "./faults.ts";

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** `npm run soak` takes other seeds, for hours. */
const IS_SOAK = process.env.DEWY_SOAK === "1";
const SEED = Number(process.env.DEWY_FLEET_SEED ?? (IS_SOAK ? Date.now() % 2 ** 31 : 14));
const seeds = (count: number): number[] =>
  process.env.DEWY_FLEET_SEED === undefined
    ? Array.from({ length: IS_SOAK ? 100 * count : count }, (_, at) => SEED + at)
    : [SEED];
const timeout = IS_SOAK ? 10 * 60 * MINUTE : 2 * MINUTE;

const OPTIONS = {
  waves: [{ hosts: 1 }, { percent: 10 }, { percent: 100 }],
  bakeMs: 5 * MINUTE,
  memberTtlMs: 10 * MINUTE,
  pollMs: MINUTE,
  skewMs: 10 * MINUTE,
  deployMs: 30 * SECOND,
  running: "v1.0.0",
} as const;

const RATES: FaultRates = {
  lost: 0.005,
  unanswered: 0.005,
  late: 0.01,
  stormEveryMs: 15 * MINUTE,
  stormMs: 3 * MINUTE,
};

const MACHINES: MachineFaults = {
  killEveryMs: 10 * HOUR,
  downMs: 5 * MINUTE,
  dies: 0.1,
  cutOffEveryMs: 20 * HOUR,
  cutOffMs: 20 * MINUTE,
  holdEveryMs: 20 * HOUR,
  holdMs: 20 * MINUTE,
};

interface Run {
  options: WorldOptions;
  rates: FaultRates;
  machines: MachineFaults;
  script(world: World): void;
  /** How long faults happen, and how long the fleet then has to come to rest. */
  faultyMs: number;
  quietMs: number;
}

async function simulate({
  options,
  rates,
  machines,
  script,
  faultyMs,
  quietMs,
}: Run): Promise<World> {
  let network: FaultyNetwork | undefined;
  const world = new World(options, (made) => {
    network = new FaultyNetwork(made, rates);
    return network.send;
  });
  failMachines(world, machines, faultyMs);
  script(world);
  await world.run(faultyMs);
  network?.mend();
  await world.run(quietMs, () => isAtRest(world));
  const wrong = world.unsettled();
  if (wrong !== undefined) throw world.failure(wrong, `DEWY_FLEET_SEED=${options.seed}`);
  return world;
}

function isAtRest(world: World): boolean {
  return world.truth.rollout?.state !== "running" && world.unsettled() === undefined;
}

test.each(seeds(1))(
  "a version reaches a thousand machines despite faults (seed %i)",
  {
    timeout,
  },
  async (seed) => {
    const world = await simulate({
      options: { ...OPTIONS, seed, hosts: Number(process.env.HOSTS ?? 1_000), maxFailures: 100 },
      rates: RATES,
      machines: MACHINES,
      faultyMs: 40 * MINUTE,
      quietMs: HOUR,
      script: (made) => void made.time.after(5 * MINUTE, () => made.publish("v1.1.0")),
    });
    if (process.env.SHOW)
      console.log(
        world.truth.history.slice(-40).join("\n"),
        world.bucket.operations,
        process.cpuUsage().user / 1e6,
        world.time.text(),
        [...world.truth.announced],
      );
    expect(world.truth.rollout?.state).toBe("done");
  },
);
