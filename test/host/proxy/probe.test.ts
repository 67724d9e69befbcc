import { createServer } from "node:http";
import { expect, onTestFinished, test } from "vitest";
import { AbortedError, HostError } from "../../../src/core/error.ts";
import { probeHttp, probeTcp } from "../../../src/host/proxy/probe.ts";
import { deadBackend, listening, startBackend, until } from "./sockets.ts";

const timeoutMs = 10_000;

async function httpServer(status: number): Promise<{ host: string; port: number }> {
  const server = createServer((request, response) => {
    response.writeHead(request.url === "/health" ? status : 404, { location: "/elsewhere" }).end();
  });
  onTestFinished(() => void server.close());
  return { host: "127.0.0.1", port: await listening(server) };
}

test.each([200, 204, 302, 399])("a server that answers %i is healthy", async (status) => {
  await probeHttp({ ...(await httpServer(status)), path: "/health", timeoutMs });
});

test.each([400, 404, 500, 503])("a server that answers %i is not healthy", async (status) => {
  const { host, port } = await httpServer(status);
  const probe = probeHttp({ host, port, path: "/health", timeoutMs });
  await expect(probe).rejects.toThrow(
    new HostError(`The probe failed: GET /health to 127.0.0.1:${port}: it answered ${status}`),
  );
});

test("a server that accepts and says nothing is not healthy", async () => {
  const { backend } = await startBackend();
  const probe = probeHttp({ ...backend, path: "/", timeoutMs: 50 });
  await expect(probe).rejects.toThrow("nothing came within 50 ms");
});

test("nothing stays connected after a probe", async () => {
  const server = await startBackend((socket) => socket.on("end", () => socket.end()));
  await probeTcp({ ...server.backend, timeoutMs, settleMs: 1 });
  await until(() => server.sockets.every((socket) => socket.destroyed));
});

test("a port that nobody listens on is not healthy, whatever is asked", async () => {
  const dead = await deadBackend();
  await expect(probeHttp({ ...dead, path: "/", timeoutMs })).rejects.toThrow("ECONNREFUSED");
  await expect(probeTcp({ ...dead, timeoutMs })).rejects.toThrow("ECONNREFUSED");
});

test("a port that accepts and closes, as a container engine's forwarder does, is not healthy", async () => {
  const { backend } = await startBackend((socket) => socket.end());
  await expect(probeTcp({ ...backend, timeoutMs, settleMs: timeoutMs })).rejects.toThrow(
    "it accepted and closed at once",
  );
});

test("a server that speaks first is healthy at once", async () => {
  const { backend } = await startBackend((socket) => socket.write("220 ready\r\n"));
  await probeTcp({ ...backend, timeoutMs, settleMs: timeoutMs });
});

test("a signal ends a probe", async () => {
  const server = await startBackend();
  const abort = new AbortController();
  const probes = [
    probeHttp({ ...server.backend, path: "/", timeoutMs, signal: abort.signal }),
    probeTcp({ ...server.backend, timeoutMs, settleMs: timeoutMs, signal: abort.signal }),
  ];
  await until(() => server.sockets.length === 2);
  abort.abort();
  for (const probe of probes) await expect(probe).rejects.toThrow(AbortedError);
  await expect(probeTcp({ ...server.backend, timeoutMs, signal: abort.signal })).rejects.toThrow(
    AbortedError,
  );
});
