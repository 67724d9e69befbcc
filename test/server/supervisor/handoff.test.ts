import { expect, test } from "vitest";
import { proxyHandoff } from "../../../src/server/supervisor/handoff.ts";
import { fakeClock } from "../../fakes/clock.ts";
import { deadBackend, startBackend } from "../../host/proxy/sockets.ts";

const never = new AbortController().signal;

async function checkedHandoff() {
  const healthChecks = { total: 0, failures: 0 };
  const handoff = proxyHandoff({
    proxies: [],
    healthPath: "/health",
    probeTimeoutMs: 5_000,
    healthChecks,
    clock: fakeClock({ skipUpTo: 1_000 }),
  });
  const endpoint = ({ port }: { port: number }) => ({ sockets: [], env: { PORT: `${port}` } });
  return { handoff, healthChecks, endpoint };
}

test("each attempt until a generation is ready is a health check, and so is each later one", async () => {
  const { handoff, healthChecks, endpoint } = await checkedHandoff();
  let status = "503 Service Unavailable";
  const { backend } = await startBackend((socket) => {
    socket.on("data", () => socket.end(`HTTP/1.1 ${status}\r\n\r\n`));
  });
  const reasons: string[] = [];
  await handoff.ready?.(endpoint(backend), never, (reason) => {
    reasons.push(reason);
    if (reasons.length === 2) status = "204 No Content";
  });
  expect(reasons).toEqual(["GET /health answered 503", "GET /health answered 503"]);
  expect(healthChecks).toEqual({ total: 3, failures: 2 });
  await handoff.check?.(endpoint(backend), never);
  await expect(handoff.check?.(endpoint(await deadBackend()), never)).rejects.toThrow("failed");
  expect(healthChecks).toEqual({ total: 5, failures: 3 });
});

test("a check that dewy itself ends is not counted", async () => {
  const { handoff, healthChecks, endpoint } = await checkedHandoff();
  const silent = await startBackend();
  const stop = new AbortController();
  const check = handoff.check?.(endpoint(silent.backend), stop.signal);
  await silent.accepted();
  stop.abort();
  await expect(check).rejects.toThrow("The probe was ended");
  expect(healthChecks).toEqual({ total: 0, failures: 0 });
});
