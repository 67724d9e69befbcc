import { expect, it } from "vitest";
import { systemClock } from "../../../src/core/clock.ts";
import { socketHandoff } from "../../../src/deployers/server/handoffs.ts";
import { becomeReady } from "../../../src/deployers/server/readiness.ts";
import { fakeGeneration } from "./supervisor_world.ts";

const release = { tag: "v1.0.0", directory: "d1" };
const socket = { name: "8080", fd: 3, inherited: false };
const ready = { afterMs: 60_000, timeoutMs: 120_000, mayFinish: true, clock: systemClock };

it.each([
  ["with a socket", { sockets: [socket], env: {} }, "use --handoff proxy or --handoff none"],
  ["behind the proxy", { sockets: [], env: { PORT: "4711" } }, "listen on 127.0.0.1:$PORT (4711)"],
  ["without a port", { sockets: [], env: {} }, "somebody else has the port that it wants"],
])("an app %s that finds its port taken is told what to do", async (_, place, hint) => {
  const generation = fakeGeneration(release, 1, place, 0);
  generation.lastLines = () => ["Error: listen EADDRINUSE: address already in use :::8080"];
  generation.exit({ code: 1 });
  const error = await becomeReady(generation, socketHandoff([]), ready, AbortSignal.timeout(9_000))
    .then(() => undefined)
    .catch((e: unknown) => e);
  expect(String(error)).toContain("it ended with exit code 1 before it was ready");
  expect(String(error)).toContain(hint);
});

it("an app with a socket has not done its work when it ends with exit code 0", async () => {
  const generation = fakeGeneration(release, 1, { sockets: [socket], env: {} }, 0);
  generation.exit({ code: 0 });
  const readiness = becomeReady(generation, socketHandoff([]), ready, AbortSignal.timeout(9_000));
  await expect(readiness).rejects.toThrow("exit code 0 before it was ready; it wrote: panic");
});
