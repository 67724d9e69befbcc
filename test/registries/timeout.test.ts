import { describe, expect, it } from "vitest";
import type { Registry, Resolution } from "../../src/core/types.ts";
import { openRegistry } from "../../src/registries/open.ts";
import { withPollDeadline } from "../../src/registries/timeout.ts";
import { type FakeClock, fakeClock } from "../fakes/clock.ts";
import { fetchOf } from "../fakes/handler.ts";

const MINUTE = 60_000;
const NOTHING: Resolution = { kind: "none", reason: "empty", message: "" };

function answering(resolve: Registry["resolve"], clock: FakeClock = fakeClock()): Registry {
  const unexpected = (): Promise<never> => Promise.reject(new Error("unexpected"));
  return withPollDeadline({ resolve, open: unexpected }, clock);
}

describe("withPollDeadline", () => {
  it.each([
    ["never answers", () => new Promise<Response>(() => {})],
    ["drips", async () => new Response(new ReadableStream({ pull: () => new Promise(() => {}) }))],
  ])("gives up a registry that %s, with an error that says so", async (_, answer) => {
    const clock = fakeClock();
    const options = {
      fetch: fetchOf(answer),
      clock,
      env: {},
      timeoutMs: Number.POSITIVE_INFINITY,
    };
    const registry = withPollDeadline(openRegistry("ghr://acme/app", options), clock);
    const outcome = expect(registry.resolve()).rejects.toMatchObject({
      code: "timeout",
      retryable: true,
      fault: "remote",
      message: expect.stringContaining("no complete response within 60 s"),
    });
    await clock.sleeping(MINUTE);
    clock.advance(MINUTE);
    await outcome;
  });

  it("passes on an answer and a failure", async () => {
    expect(await answering(async () => NOTHING).resolve()).toBe(NOTHING);
    const refusing = answering(() => Promise.reject(new Error("refused")));
    await expect(refusing.resolve()).rejects.toThrow("refused");
  });

  it("passes the stop of the caller on", async () => {
    const stop = new AbortController();
    const registry = answering(
      ({ signal } = {}) =>
        new Promise((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason))),
    );
    const stopped = registry.resolve({ signal: stop.signal });
    stop.abort(new Error("enough"));
    await expect(stopped).rejects.toThrow("enough");
  });
});
