import { type Random, seededRandom } from "../world/random.ts";
import { quiet } from "../world/time.ts";
import { World, type WorldOptions } from "../world/world.ts";
import { type Deviation, type Plan, PlannedNetwork, parsePlan, planText } from "./plan.ts";

export interface Scenario {
  name: string;
  options: Partial<WorldOptions>;
  /** What else happens, from the start: releases, holds, operators. */
  script(world: World): void;
  /** How long it takes at most, with the deviations. */
  minutes: number;
}

export interface Exploration {
  /** The share of the single deviations that is tried, and of the pairs after each. */
  shares: readonly number[];
  seed: number;
}

/** Several polls of each host. */
const QUIET_MS = 70_000;

const DEFAULTS: WorldOptions = {
  seed: 1,
  hosts: 2,
  waves: [{ hosts: 1 }, { percent: 100 }],
  bakeMs: 20_000,
  maxFailures: 0,
  memberTtlMs: 120_000,
  pollMs: 20_000,
  skewMs: 240_000,
  deployMs: 2_000,
  running: "v1.0.0",
};

/**
 * Runs the scenario with every deviation at every step, then with pairs of them, as far as the shares say; returns how
 * many runs these were.
 */
export async function explore(scenario: Scenario, exploration: Exploration): Promise<number> {
  const only = process.env.DEWY_FLEET_PLAN;
  if (only === undefined) {
    const random = seededRandom(exploration.seed);
    return exploreFrom(scenario, new Map(), exploration.shares, random);
  }
  await runPlan(scenario, parsePlan(only));
  return 1;
}

async function exploreFrom(
  scenario: Scenario,
  plan: Plan,
  [share, ...shares]: readonly number[],
  random: Random,
): Promise<number> {
  const choices = await runPlan(scenario, plan);
  let runs = 1;
  if (share === undefined) return runs;
  const from = Math.max(-1, ...plan.keys()) + 1;
  for (const [at, deviations] of choices.entries()) {
    for (const deviation of at < from ? [] : deviations) {
      if (!random.chance(share)) continue;
      runs += await exploreFrom(scenario, new Map([...plan, [at, deviation]]), shares, random);
    }
  }
  return runs;
}

/** Returns what else could have become of each step. Rejects if an invariant does not hold. */
async function runPlan(scenario: Scenario, plan: Plan): Promise<(readonly Deviation[])[]> {
  let network: PlannedNetwork | undefined;
  const world = new World({ ...DEFAULTS, ...scenario.options }, (made) => {
    const planned = new PlannedNetwork(made, plan);
    network = planned;
    return (operation) => planned.send(operation);
  });
  scenario.script(world);
  const end = world.time.now + scenario.minutes * 60_000;
  const isSettled = (): boolean => isOver(world);
  await quiet();
  while (world.truth.violation === undefined && !isSettled()) {
    if (network?.step() !== true && !world.time.step(end)) break;
    await quiet();
  }
  const wrong = world.unsettled();
  if (wrong !== undefined) {
    throw world.failure(`${scenario.name}: ${wrong}`, `DEWY_FLEET_PLAN="${planText(plan)}"`);
  }
  return network?.choices ?? [];
}

/** Whether all has been quiet for so long that nothing more is to come. */
function isOver(world: World): boolean {
  const { rollout, changedAt } = world.truth;
  if (rollout === undefined || rollout.state === "running") return false;
  return world.time.now - changedAt > QUIET_MS && world.unsettled() === undefined;
}
