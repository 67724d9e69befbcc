import { describe, expect, it } from "vitest";
import { RemoteError } from "../../src/core/error.ts";
import { requestedPauseMs } from "../../src/deploy/backoff.ts";

describe("the pause that a registry requests", () => {
  it("is that of the error, else that of its cause, else zero", () => {
    const cause = new RemoteError("slow down", { retryAfterMs: 1000 });
    expect(requestedPauseMs(cause, () => 0)).toBe(1000);
    expect(requestedPauseMs(new RemoteError("unavailable"), () => 0)).toBe(0);
    expect(requestedPauseMs(new RemoteError("unavailable", { cause }), () => 0)).toBe(1000);
    expect(requestedPauseMs(new TypeError("a bug"), () => 0)).toBe(0);
  });
});
