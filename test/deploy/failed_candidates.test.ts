import { describe, expect, it } from "vitest";
import { HostError } from "../../src/core/error.ts";
import type { Candidate } from "../../src/deploy/deployer.ts";
import { FailedCandidates } from "../../src/deploy/failed_candidates.ts";
import { candidate, jumpingClock } from "./world.ts";

const CANDIDATE: Candidate = {
  release: {
    id: "1",
    tag: "v1.0.0",
    version: {
      original: "v1.0.0",
      v: "v",
      segments: [1, 0, 0],
      preRelease: "",
      buildMetadata: "",
    },
  },
  artifact: { name: "app", url: "img://r.example/app" },
};

describe("FailedCandidates", () => {
  it("lets a version wait for its pause, but not for years if the clock is put back", () => {
    let now = Date.UTC(2031, 0, 1);
    const clock = { now: () => now, monotonic: () => now, sleep: async () => {} };
    const failed = new FailedCandidates({ intervalMs: 10_000, clock, random: () => 0.5 });
    const retryAt = failed.add(CANDIDATE, new Error("no network yet"));
    expect(retryAt).toBe(now + 10_000);
    expect(failed.waitsUntil(CANDIDATE)).toBe(retryAt);
    now = Date.UTC(2026, 10, 26);
    expect(failed.waitsUntil(CANDIDATE)).toBeUndefined();
  });
});

describe("the memory of failed versions", () => {
  it("is bounded: the oldest of more than 32 does not wait any more", () => {
    const clock = jumpingClock();
    const failed = new FailedCandidates({ intervalMs: 10_000, clock, random: () => 0.5 });
    const versions = Array.from({ length: 33 }, (_, nth) => candidate(`v1.0.${nth}`));
    for (const one of versions) failed.add(one, new HostError("the disk is full"));
    const waiting = versions.map((one) => failed.waitsUntil(one) !== undefined);
    expect(waiting).toEqual([false, ...Array(32).fill(true)]);
  });

  it("does not let a version wait that has not failed", () => {
    const clock = jumpingClock();
    const failed = new FailedCandidates({ intervalMs: 10_000, clock });
    expect(failed.waitsUntil(candidate("v1.0.0"))).toBeUndefined();
  });
});
