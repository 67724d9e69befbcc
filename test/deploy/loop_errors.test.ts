import { describe, expect, it } from "vitest";
import { DeployError, HostError } from "../../src/core/error.ts";
import { asDewyError, failedEvent } from "../../src/deploy/loop.ts";

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
