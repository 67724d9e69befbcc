import { describe, expect, it, onTestFinished, vi } from "vitest";
import { systemClock } from "../../src/core/clock.ts";

const DAY = 24 * 60 * 60_000;

describe("systemClock", () => {
  it("sleeps longer than a single timer can", async () => {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    let isOver = false;
    void systemClock.sleep(60 * DAY).then(() => {
      isOver = true;
    });
    await vi.advanceTimersByTimeAsync(60 * DAY - 1);
    expect(isOver).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    expect(isOver).toBe(true);
  });

  it("leaves no timer behind when its signal is aborted in a long sleep", async () => {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    const stop = new AbortController();
    const slept = systemClock.sleep(60 * DAY, stop.signal);
    await vi.advanceTimersByTimeAsync(30 * DAY);
    stop.abort(new Error("enough"));
    await expect(slept).rejects.toThrow("enough");
    expect(vi.getTimerCount()).toBe(0);
  });
});
