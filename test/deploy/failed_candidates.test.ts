import { describe, expect, it } from "vitest";
import type { Candidate } from "../../src/deploy/deployer.ts";
import { FailedCandidates } from "../../src/deploy/failed_candidates.ts";

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
