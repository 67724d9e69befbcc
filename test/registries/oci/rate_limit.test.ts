import { expect, test } from "vitest";
import { OciLimit } from "../../../src/registries/oci/rate_limit.ts";
import { fakeClock } from "../../fakes/clock.ts";

function quota(remaining: number, windowS = 21_600): Headers {
  return new Headers({
    "ratelimit-limit": `100;w=${windowS}`,
    "ratelimit-remaining": `${remaining};w=${windowS}`,
  });
}

test("a used-up quota stops pulls for at most ten minutes, and only while it is recent", () => {
  const clock = fakeClock();
  const limit = new OciLimit("registry.example", { clock, emit: () => {} });
  limit.observe(quota(1));
  expect(() => limit.assertPull()).not.toThrow();
  limit.observe(quota(0));
  expect(() => limit.assertPull()).toThrow(
    "Cannot use registry.example: all 100 pulls of this window are used up; dewy tries again in 600 s",
  );
  limit.observe(quota(0, 30));
  expect(() => limit.assertPull()).toThrow("tries again in 30 s");
  clock.advance(60_000);
  expect(() => limit.assertPull()).toThrow();
  clock.advance(1);
  expect(() => limit.assertPull()).not.toThrow();
});
