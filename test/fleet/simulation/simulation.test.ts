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
const timeout = IS_SOAK ? 10 * 60 * MINUTE : 10 * MINUTE;

const OPTIONS = {
  waves: [{ hosts: 1 }, { percent: 10 }, { percent: 100 }],
  bakeMs: 2 * MINUTE,
  memberTtlMs: 10 * MINUTE,
  pollMs: 2 * MINUTE,
  skewMs: 10 * MINUTE,
  deployMs: 30 * SECOND,
  running: "v1.0.0",
} as const;

const RATES: FaultRates = {
  lost: 0.005,
  unanswered: 0.005,
  late: 0.01,
  stormEveryMs: 6 * MINUTE,
  stormMs: 2 * MINUTE,
};

const MACHINES: MachineFaults = {
  killEveryMs: 5 * HOUR,
  downMs: 5 * MINUTE,
  dies: 0.1,
  cutOffEveryMs: 10 * HOUR,
  cutOffMs: 20 * MINUTE,
  holdEveryMs: 10 * HOUR,
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
      options: { ...OPTIONS, seed, hosts: 1_000, maxFailures: 100 },
      rates: RATES,
      machines: MACHINES,
      faultyMs: 15 * MINUTE,
      quietMs: HOUR,
      script: (made) => void made.time.after(MINUTE, () => made.publish("v1.1.0")),
    });
    expect(world.truth.rollout?.state).toBe("done");
  },
);

test.each(seeds(2))(
  "a version that fails on a tenth of the machines is halted (seed %i)",
  {
    timeout,
  },
  async (seed) => {
    const world = await simulate({
      options: { ...OPTIONS, seed, hosts: 200, maxFailures: 2 },
      rates: RATES,
      machines: MACHINES,
      faultyMs: 30 * MINUTE,
      quietMs: HOUR,
      script: (made) => {
        const random = made.random.fork("fates");
        const fates = new Map(
          [...made.hosts.keys()].map(
            (name) => [name, random.chance(0.1) ? "unready" : "good"] as const,
          ),
        );
        const fate = (host: string) => fates.get(host) ?? "good";
        made.time.after(MINUTE, () => made.publish("v1.1.0", fate));
      },
    });
    const { rollout } = world.truth;
    expect(rollout?.state).toBe("halted");
    const holders = [...world.hosts.values()].filter((host) => host.holds("v1.1.0"));
    expect(holders.length).toBeLessThan(world.hosts.size);
  },
);

test.each(seeds(2))(
  "releases that follow each other quickly all come to rest (seed %i)",
  {
    timeout,
  },
  async (seed) => {
    const world = await simulate({
      options: { ...OPTIONS, seed, hosts: 100, maxFailures: 20 },
      rates: RATES,
      machines: MACHINES,
      faultyMs: 40 * MINUTE,
      quietMs: 2 * HOUR,
      script: (made) => {
        const random = made.random.fork("releases");
        let at = MINUTE;
        for (let minor = 1; minor <= 6; minor += 1) {
          made.time.after(at, () => made.publish(`v1.${minor}.0`));
          at += random.between(MINUTE, 10 * MINUTE);
        }
      },
    });
    expect(world.truth.rollout?.state).toBe("done");
  },
);

test("the same seed gives the same history", { timeout }, async () => {
  const once = async (seed: number): Promise<string> => {
    const world = await simulate({
      options: { ...OPTIONS, seed, hosts: 20, maxFailures: 20 },
      rates: RATES,
      machines: MACHINES,
      faultyMs: 10 * MINUTE,
      quietMs: HOUR,
      script: (made) => void made.time.after(MINUTE, () => made.publish("v1.1.0")),
    });
    return world.truth.history.join("\n");
  };
  expect(await once(3)).toBe(await once(3));
  expect(await once(3)).not.toBe(await once(4));
});
