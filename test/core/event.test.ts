import { expect, it } from "vitest";
import { type DewyEvent, dedupe, fanOut } from "../../src/core/event.ts";
import { fakeClock } from "../fakes/clock.ts";

const held: DewyEvent = { type: "held", tag: "v1.0.0", running: "v1.1.0", reason: "newer" };

it("dedupe tells a lasting condition once a day, and again after a deploy", () => {
  const heard: string[] = [];
  const clock = fakeClock();
  const sink = dedupe((event) => heard.push(event.type), clock);
  const deployed: DewyEvent = {
    type: "deployed",
    command: "assets",
    tag: "v1.2.0",
    previousTag: undefined,
    directory: "/",
    durationMs: 1,
  };
  for (const event of [held, held, { ...held, tag: "v0.9.0" }, deployed, held]) sink(event);
  expect(heard).toEqual(["held", "held", "deployed", "held"]);
  clock.advance(24 * 3_600_000);
  sink(held);
  expect(heard).toHaveLength(4);
  clock.advance(1);
  sink(held);
  expect(heard).toHaveLength(5);
});

it("dedupe lets everything else through every time", () => {
  const heard: string[] = [];
  const sink = dedupe((event) => heard.push(event.type), fakeClock());
  for (let i = 0; i < 2; i++) sink({ type: "unchanged", tag: "v1.0.0" });
  expect(heard).toHaveLength(2);
});

it("fanOut tells the other sinks although one throws", () => {
  const heard: string[] = [];
  fanOut([
    () => {
      throw new Error("broken subscriber");
    },
    (event) => heard.push(event.type),
  ])(held);
  expect(heard).toEqual(["held"]);
});
