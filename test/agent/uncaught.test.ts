import { expect, test } from "vitest";
import { redactor } from "../../src/agent/redactor.ts";
import { crashText, surviveUncaught } from "../../src/agent/uncaught.ts";
import type { DewyEvent } from "../../src/core/event.ts";
import { type FakeClock, fakeClock } from "../fakes/clock.ts";

function survivor(): { fail: (error: unknown) => void; reported: DewyEvent[]; clock: FakeClock } {
  const clock = fakeClock();
  const reported: DewyEvent[] = [];
  let fail = (_error: unknown): void => {};
  surviveUncaught({
    env: { SLACK_TOKEN: "xoxb-123456" },
    emit: (event) => void (event.type === "uncaught" && reported.push(event)),
    clock,
    redactor,
    keepRunning: (listener) => {
      fail = listener;
    },
  });
  return { fail: (error) => fail(error), reported, clock };
}

test("an error in a loop is reported once a minute, whatever numbers it contains", () => {
  const { fail, reported, clock } = survivor();
  for (let port = 0; port < 1000; port += 1) fail(new Error(`port ${port}, xoxb-123456`));
  expect(reported).toEqual([{ type: "uncaught", error: "Error: port 0, …", count: 1 }]);
  clock.advance(60_000);
  fail(new Error("port 1000, xoxb-123456"));
  expect(reported.slice(1)).toMatchObject([{ error: "Error: port 1000, …", count: 1001 }]);
});

test("errors that all differ are reported a limited number of times", () => {
  const { fail, reported } = survivor();
  const letters = "abcdefghijklmnopqrstuvwxyz";
  for (const one of letters) for (const two of letters) fail(`${one}${two}`);
  expect(reported).toHaveLength(21);
});

test("a crash is one line without secrets", () => {
  const env = { SLACK_TOKEN: "xoxb-123456", HOME: "/root/home" };
  const error = new TypeError("xoxb-123456\nat https://me:pw@example.com/?token=abc in /root/home");
  expect(crashText(error, env)).toBe(
    "Error: TypeError: …\\nat https://example.com/?token=… in /root/home; this is a bug in dewy\n",
  );
  expect(crashText("text", {})).toBe("Error: text; this is a bug in dewy\n");
});
