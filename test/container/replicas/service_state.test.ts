import { describe, expect, it, test } from "vitest";
import {
  bakingTrial,
  configOf,
  goalOf,
  IDLE,
  type ServiceEvent,
  type ServiceState,
  Trial,
  transition,
  trialOf,
} from "../../../src/container/replicas/service_state.ts";
import { v1, v2, v3 } from "./service_fixture.ts";

const trial1 = new Trial(v1.directory);
const trial2 = new Trial(v2.directory);
const trial3 = new Trial(v3.directory);

function stateAfter(...events: ServiceEvent[]): ServiceState {
  return events.reduce(transition, IDLE);
}

const rolling1: ServiceEvent = { type: "rollout-started", goal: v1, trial: trial1 };
const rolling2: ServiceEvent = { type: "rollout-started", goal: v2, trial: trial2 };
const rolling3: ServiceEvent = { type: "rollout-started", goal: v3, trial: trial3 };
const prepared: ServiceEvent = { type: "rollout-prepared", config: "c" };
const finished: ServiceEvent = { type: "rollout-finished" };
const failed: ServiceEvent = { type: "rollout-failed" };
const ended: ServiceEvent = { type: "ended" };
const bakeEnded = (trial: Trial): ServiceEvent => ({ type: "bake-ended", trial });
const releaseFailed = (directory: string): ServiceEvent => ({ type: "release-failed", directory });

describe("transition", () => {
  it("starts idle, without a goal", () => {
    expect([goalOf(IDLE), configOf(IDLE), bakingTrial(IDLE)]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });

  test.each<[string, ServiceState, object]>([
    ["a deploy rolls", stateAfter(rolling1), { phase: "rolling", goal: v1, trial: trial1 }],
    ["a deploy is prepared", stateAfter(rolling1, prepared), { phase: "rolling", config: "c" }],
    [
      "a deploy that took over bakes",
      stateAfter(rolling1, prepared, finished),
      { phase: "baking", goal: v1, config: "c", baking: trial1 },
    ],
    [
      "a release is steady after its bake",
      stateAfter(rolling1, prepared, finished, bakeEnded(trial1)),
      { phase: "steady", goal: v1, config: "c" },
    ],
    [
      "a rollout without a trial does not bake",
      stateAfter({ type: "rollout-started", goal: v1, trial: undefined }, prepared, finished),
      { phase: "steady", goal: v1, config: "c" },
    ],
    [
      "a deploy does not end the bake of the previous one before it takes over",
      stateAfter(rolling1, finished, rolling2),
      { phase: "rolling", goal: v2, trial: trial2, baking: trial1, config: undefined },
    ],
    [
      "a deploy that took over replaces the bake of the previous one",
      stateAfter(rolling1, finished, rolling2, finished),
      { phase: "baking", goal: v2, baking: trial2 },
    ],
    [
      "a failed deploy keeps the bake of the previous one, and its own goal",
      stateAfter(rolling1, finished, rolling2, failed),
      { phase: "baking", goal: v2, baking: trial1 },
    ],
    [
      "a failed deploy without a bake is steady with its own goal",
      stateAfter(rolling1, finished, bakeEnded(trial1), rolling2, failed),
      { phase: "steady", goal: v2 },
    ],
    [
      "a restart during a bake continues the bake",
      stateAfter(
        rolling1,
        finished,
        { type: "rollout-started", goal: v1, trial: undefined },
        finished,
      ),
      { phase: "baking", goal: v1, baking: trial1 },
    ],
    [
      "a bake can end during the next rollout",
      stateAfter(rolling1, finished, rolling2, bakeEnded(trial1), failed),
      { phase: "steady", goal: v2 },
    ],
    [
      "the end of a superseded bake does not end the current one",
      stateAfter(rolling1, finished, rolling2, finished, bakeEnded(trial1)),
      { phase: "baking", goal: v2, baking: trial2 },
    ],
    ["an ended service is idle", stateAfter(rolling1, finished, ended), { phase: "idle" }],
    [
      "the end of a bake does not revive an ended service",
      stateAfter(rolling1, finished, ended, bakeEnded(trial1)),
      { phase: "idle" },
    ],
    ["an idle service ignores the rest of a rollout", stateAfter(prepared, finished, failed), IDLE],
  ])("%s", (_, state, expected) => {
    expect(state).toMatchObject(expected);
  });

  test.each<[string, ServiceState, string | undefined]>([
    ["a failed release", stateAfter(releaseFailed(v1.directory)), v1.directory],
    [
      "a failed release while others roll out",
      stateAfter(releaseFailed(v1.directory), rolling2, prepared, finished, bakeEnded(trial2)),
      v1.directory,
    ],
    ["a failed release that fails again", stateAfter(releaseFailed("1"), rolling1, failed), "1"],
    ["the last failed release only", stateAfter(releaseFailed("1"), releaseFailed("2")), "2"],
    ["a failed release of an ended service", stateAfter(releaseFailed("1"), ended), "1"],
    [
      "no release that has since been rolled out",
      stateAfter(releaseFailed(v1.directory), rolling1, finished),
      undefined,
    ],
  ])("distrusts %s", (_, { distrusted }, expected) => {
    expect(distrusted).toBe(expected);
  });
});

describe("trialOf", () => {
  const state = stateAfter(rolling2, finished, rolling3);

  test.each([
    ["the rolling release", v3, trial3],
    ["the baking release", v2, trial2],
    ["no other release", v1, undefined],
  ])("finds the trial of %s", (_, { directory }, expected) => {
    expect(trialOf(state, directory)).toBe(expected);
  });

  it("finds the trial of the rollout if the baking release is deployed again", () => {
    const again = new Trial(v2.directory);
    const both = stateAfter(rolling2, finished, {
      type: "rollout-started",
      goal: v2,
      trial: again,
    });
    expect(trialOf(both, v2.directory)).toBe(again);
  });
});

describe("Trial", () => {
  it("waits until every loss has been examined, even if that fails", async () => {
    const trial = new Trial("1");
    let examine = (): void => {};
    trial.addLoss(
      new Promise<void>((resolve) => {
        examine = resolve;
      }),
    );
    trial.addLoss(Promise.reject(new Error("no output")));
    let isOver = false;
    const waited = trial.untilLossesExamined().then(() => {
      isOver = true;
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(isOver).toBe(false);
    examine();
    await waited;
  });
});
