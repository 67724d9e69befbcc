import { expect, test } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import { DewyError } from "../../src/core/error.ts";
import { Coordinator } from "../../src/fleet/coordinator.ts";
import { readMember, readRollout } from "../../src/fleet/records.ts";
import { memoryCache } from "../fakes/memory_cache.ts";

const TAG = "v1.1.0";

/** A host that has taken the version as the canary of its fleet. */
async function canary() {
  const store = memoryCache();
  const at = { store, fleet: "web" };
  const coordinator = new Coordinator({
    ...at,
    host: "a",
    instance: "1",
    registry: "ghr://acme/app",
    waves: [{ hosts: 1 }, { percent: 100 }],
    maxFailures: 0,
    bakeMs: 0,
    memberTtlMs: 60_000,
    compare: () => 0,
    clock: systemClock,
    emit: () => {},
    running: async () => "v1.0.0",
  });
  const { signal } = new AbortController();
  const verdict = await coordinator.admit({ tag: TAG, running: "v1.0.0" }, signal);
  expect(verdict).toEqual({ kind: "go" });
  const state = async () => (await readRollout(at))?.record?.state;
  const task = async () => (await readMember(at, "a"))?.record?.task;
  return { coordinator, state, task };
}

test.each([
  ["release", "failed", "halted"],
  ["remote", "deploying", "running"],
] as const)(
  "a deploy that is retried, with the %s at fault, counts as %s: the rollout is %s",
  async (fault, phase, expected) => {
    const { coordinator, state, task } = await canary();
    const end = new AbortController();
    const error = new DewyError("the archive is broken", { code: "archive", fault });
    const failure = { type: "failed", phase: "stage", tag: TAG, error, count: 1 } as const;
    coordinator.sink({ ...failure, retryInMs: 2000 });
    const running = coordinator.run(end.signal);
    await expect.poll(task).toEqual({ tag: TAG, phase, reason: error.message });
    await expect.poll(state).toBe(expected);
    end.abort();
    await running;
  },
);
