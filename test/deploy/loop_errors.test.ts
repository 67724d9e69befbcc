import { describe, expect, it } from "vitest";
import { DeployError, HostError } from "../../src/core/error.ts";
import type { DewyEvent } from "../../src/core/event.ts";
import { asDewyError, failedEvent, pollLoop } from "../../src/deploy/loop.ts";
import { fakeClock } from "../fakes/clock.ts";

describe("the event of a failure", () => {
  it("names the phase of a deploy, and else the resolution", () => {
    expect(failedEvent(new DeployError("verify", "it crashed"), 1)).toMatchObject({
      phase: "verify",
    });
    expect(failedEvent(new HostError("full"), 1)).toMatchObject({ phase: "resolve" });
  });

  it("has a foreign error as the cause of a failure of the host", () => {
    const cause = new TypeError("x is undefined");
    expect(asDewyError(cause)).toMatchObject({
      code: "host",
      message: "Unexpected failure: x is undefined",
      cause,
    });
  });
});

it("a loop whose polls succeed reports nothing, and does not poll before the interval is over", async () => {
  const clock = fakeClock();
  const stop = new AbortController();
  const events: DewyEvent[] = [];
  let polls = 0;
  const ended = pollLoop({
    poll: async () => {
      polls += 1;
      return { kind: "fine" };
    },
    intervalMs: 10_000,
    onWake: () => () => {},
    clock,
    emit: (event) => void events.push(event),
    signal: stop.signal,
    random: () => 0.5,
  });
  for (const expected of [1, 2, 3]) {
    await clock.sleeping(10_000);
    for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    expect(polls).toBe(expected);
    clock.advance(10_000);
  }
  stop.abort();
  await ended;
  expect(events.filter(({ type }) => type !== "polled")).toEqual([]);
});
