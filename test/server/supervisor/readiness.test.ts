import { describe, expect, it } from "vitest";
import { systemClock } from "../../../src/core/clock.ts";
import { faultOf, HostError } from "../../../src/core/error.ts";
import type { Handoff } from "../../../src/server/supervisor/handoff.ts";
import { socketHandoff } from "../../../src/server/supervisor/handoff.ts";
import { becomeReady } from "../../../src/server/supervisor/readiness.ts";
import { hastyClock } from "../../fakes/clock.ts";
import { type FakeGeneration, fakeGeneration } from "./world.ts";

const never = new AbortController().signal;

const release = { tag: "v1.0.0", directory: "d1" };
const socket = { name: "8080", fd: 3, inherited: false };
const ready = { afterMs: 60_000, timeoutMs: 120_000, mayFinish: true, clock: systemClock };

it.each([
  ["with a socket", { sockets: [socket], env: {} }, "use --handoff proxy or --handoff none"],
  ["behind the proxy", { sockets: [], env: { PORT: "4711" } }, "listen on 127.0.0.1:$PORT (4711)"],
  ["without a port", { sockets: [], env: {} }, "another process has the port that it wants"],
])("the error for an app %s whose port is taken says what to do", async (_, endpoint, hint) => {
  const generation = fakeGeneration(release, 1, endpoint, 0);
  generation.lastLines = () => ["Error: listen EADDRINUSE: address already in use :::8080"];
  generation.exit({ code: 1 });
  const error = await becomeReady(generation, socketHandoff([]), ready, AbortSignal.timeout(9_000))
    .then(() => undefined)
    .catch((e: unknown) => e);
  expect(String(error)).toContain("the app exited with exit code 1 before it was ready");
  expect(String(error)).toContain(hint);
});

describe("a ready command", () => {
  const generation = (): FakeGeneration =>
    fakeGeneration(release, 1, { sockets: [socket], env: {} }, 0);
  const soon = { ...ready, afterMs: 0, timeoutMs: 5_000, clock: hastyClock() };

  it.each([
    [1, "release"],
    [126, "operator"],
    [127, "operator"],
    [null, "release"],
  ])("that always exits with code %s is the fault of the %s", async (code, fault) => {
    const options = { ...soon, command: async () => code };
    const failed = becomeReady(generation(), socketHandoff([]), options, never);
    await expect(failed).rejects.toMatchObject({ fault, phase: "verify" });
    await expect(failed).rejects.toThrow(/was not ready within 5 s: the ready command/);
  });

  it("that this machine cannot run is not the release's fault", async () => {
    const command = async (): Promise<number> => {
      throw new HostError("Cannot run /bin/sh: too many open files");
    };
    const failed = becomeReady(generation(), socketHandoff([]), { ...soon, command }, never);
    await expect(failed).rejects.toMatchObject({ fault: "host" });
  });

  it("that fails unexpectedly is not the release's fault", async () => {
    const command = async (): Promise<number> => {
      throw new TypeError("x is undefined");
    };
    const failed = becomeReady(generation(), socketHandoff([]), { ...soon, command }, never);
    expect(faultOf(await failed.catch((error: unknown) => error))).toBe("host");
  });
});

it.each([
  ["answers 503", "release"],
  ["cannot be probed: too many open files", "host"],
] as const)("an app that %s until the timeout: fault of the %s", async (reason, fault) => {
  const handoff: Handoff = {
    ...socketHandoff([]),
    ready: async (_endpoint, signal, report) => {
      report(reason, fault);
      await systemClock.sleep(60_000, signal);
    },
  };
  const endpoint = { sockets: [], env: { PORT: "4711" } };
  const options = { ...ready, timeoutMs: 5_000, clock: hastyClock() };
  const failed = becomeReady(fakeGeneration(release, 1, endpoint, 0), handoff, options, never);
  await expect(failed).rejects.toMatchObject({ fault });
  await expect(failed).rejects.toThrow(`not ready within 5 s: ${reason}`);
});

it("an app with a socket that exits with code 0 has failed", async () => {
  const generation = fakeGeneration(release, 1, { sockets: [socket], env: {} }, 0);
  generation.exit({ code: 0 });
  const readiness = becomeReady(generation, socketHandoff([]), ready, AbortSignal.timeout(9_000));
  await expect(readiness).rejects.toThrow("exit code 0 before it was ready; it wrote: panic");
});
