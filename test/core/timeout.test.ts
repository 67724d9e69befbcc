import { describe, expect, test } from "vitest";
import {
  abortWith,
  joinSignals,
  stoppedError,
  TimeoutError,
  withDeadline,
  withTimeout,
} from "../../src/core/timeout.ts";
import { fakeClock } from "../fakes/clock.ts";

const never = <T>(): Promise<T> => new Promise(() => {});

describe("withTimeout", () => {
  test("gives the result, and leaves nothing behind", async () => {
    const clock = fakeClock();
    const work = Promise.resolve("done");
    expect(await withTimeout(work, { clock, ms: 1500, what: "response" })).toBe("done");
    clock.advance(10_000);
  });

  test("rejects once the time is over, and names what is missing", async () => {
    const clock = fakeClock();
    const waiting = withTimeout(never(), { clock, ms: 1500, what: "response" });
    const outcome = waiting.catch((error: unknown) => error);
    await clock.sleeping(1500);
    clock.advance(1500);
    expect(await outcome).toMatchObject({ ms: 1500, message: "no response within 1.5 s" });
    expect(await outcome).toBeInstanceOf(TimeoutError);
  });

  test("rejects with the reason of the signal at once", async () => {
    const stop = new AbortController();
    const timeout = { clock: fakeClock(), ms: 1500, what: "response", signal: stop.signal };
    const waiting = withTimeout(never(), timeout);
    const reason = new Error("stopped");
    stop.abort(reason);
    await expect(waiting).rejects.toBe(reason);
  });
});

describe("withDeadline", () => {
  test("aborts the work at the deadline", async () => {
    const clock = fakeClock();
    let given: AbortSignal | undefined;
    const waiting = withDeadline(clock, 2000, undefined, (signal) => {
      given = signal;
      return never();
    }).catch((error: unknown) => error);
    await clock.sleeping(2000);
    expect(given?.aborted).toBe(false);
    clock.advance(2000);
    expect(await waiting).toMatchObject({ message: "no result within 2 s" });
    expect(given?.reason).toBe(await waiting);
  });

  test("aborts the work with the caller's signal, and not after success or failure", async () => {
    const stop = new AbortController();
    const signals: AbortSignal[] = [];
    const run = (work: () => Promise<unknown>): Promise<unknown> =>
      withDeadline(fakeClock(), 2000, stop.signal, (signal) => {
        signals.push(signal);
        return work();
      }).catch((error: unknown) => error);
    expect(await run(async () => "done")).toBe("done");
    const failure = new Error("failed");
    expect(await run(() => Promise.reject(failure))).toBe(failure);
    void run(never);
    stop.abort();
    expect(signals.map(({ aborted }) => aborted)).toEqual([false, false, true]);
  });
});

test("abortWith passes the reason on, also of a signal that is aborted already, until it is detached", () => {
  const source = new AbortController();
  const [attached, detached, late] = [0, 1, 2].map(() => new AbortController());
  if (!attached || !detached || !late) throw new Error("missing");
  abortWith(attached, source.signal);
  abortWith(detached, source.signal)();
  source.abort("why");
  abortWith(late, source.signal);
  expect([attached, detached, late].map(({ signal }) => signal.reason)).toEqual([
    ...["why", undefined, "why"],
  ]);
});

describe("the error of work that was stopped", () => {
  test("is a timeout if the caller's signal was one", () => {
    const reason = new DOMException("too late", "TimeoutError");
    expect(stoppedError("the download", reason)).toMatchObject({
      code: "timeout",
      message: "Cannot finish the download: the caller's timeout expired",
      cause: reason,
    });
  });

  test.each([new Error("stopped"), "why"])("is an abort for %s", (reason) => {
    expect(stoppedError("the download", reason)).toMatchObject({
      code: "aborted",
      message: "Stopped during the download",
      cause: reason,
    });
  });
});

test("joinSignals makes no new signal of one or none", () => {
  const { signal } = new AbortController();
  expect(joinSignals(signal, undefined)).toBe(signal);
  expect(joinSignals(undefined, signal)).toBe(signal);
  expect(joinSignals(undefined, undefined)).toBeUndefined();
});
