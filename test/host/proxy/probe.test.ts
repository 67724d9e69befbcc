import { createServer } from "node:http";
import { expect, onTestFinished, test } from "vitest";
import { AbortedError, faultOf, HostError } from "../../../src/core/error.ts";
import { probeHttp, probeTcp } from "../../../src/host/proxy/probe.ts";
import { deadBackend, listening, received, startBackend, until } from "./sockets.ts";

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
  const fault = "release";
  await expect(probe).rejects.toThrow(new HostError(`GET /health answered ${status}`, { fault }));
});

test.each([
  ["after an interim answer", "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", undefined],
  ["in pieces", "HTTP/1.0 20|4 No Content\r\n\r\n", undefined],
  ["that is not HTTP", "SSH-2.0-OpenSSH_9\r\n", "GET / got a response that is not HTTP/1"],
  ["that is cut off", "HTTP/1.1", "GET / got no answer: the connection was closed"],
])("an answer %s", async (_, answer, failure) => {
  const { backend } = await startBackend((socket) => {
    for (const piece of answer.split("|")) socket.write(piece);
    if (failure !== undefined) socket.end();
  });
  const probe = probeHttp({ ...backend, path: "/", timeoutMs });
  if (failure === undefined) await probe;
  else await expect(probe).rejects.toThrow(failure);
});

test.each(["v1", "v2"] as const)(
  "a server that expects the PROXY protocol %s gets its header first",
  async (proxyProtocol) => {
    const server = await startBackend();
    const header = server.accepted().then((socket) => received(socket, 12));
    await probeTcp({ ...server.backend, timeoutMs, settleMs: 100, proxyProtocol });
    const start = proxyProtocol === "v1" ? "PROXY TCP4 1" : "\r\n\r\n\0\r\nQUIT\n";
    expect((await header).toString("latin1").startsWith(start)).toBe(true);
    const asked = server.accepted().then((socket) => received(socket, 60));
    const abort = new AbortController();
    const probe = probeHttp({
      ...server.backend,
      path: "/health",
      timeoutMs,
      proxyProtocol,
      signal: abort.signal,
    });
    const bytes = (await asked).toString("latin1");
    expect(bytes.startsWith(start)).toBe(true);
    expect(bytes).toContain("GET /health HTTP/1.1\r\n");
    abort.abort();
    await probe.catch(() => {});
  },
);

test("a server that accepts and sends nothing is not healthy", async () => {
  const { backend } = await startBackend();
  const probe = probeHttp({ ...backend, path: "/", timeoutMs: 50 });
  await expect(probe).rejects.toThrow("GET / got nothing within 50 ms");
});

test("a probe leaves no connection open", async () => {
  const server = await startBackend((socket) => socket.on("end", () => socket.end()));
  await probeTcp({ ...server.backend, timeoutMs, settleMs: 1 });
  await until(() => server.sockets.every((socket) => socket.destroyed));
});

test("a port without a listener is not healthy for either probe", async () => {
  const dead = await deadBackend();
  await expect(probeHttp({ ...dead, path: "/", timeoutMs })).rejects.toThrow("ECONNREFUSED");
  await expect(probeTcp({ ...dead, timeoutMs })).rejects.toThrow("ECONNREFUSED");
});

test("a port that accepts and closes, like a container engine's forwarder, is not healthy", async () => {
  const { backend } = await startBackend((socket) => socket.end());
  await expect(probeTcp({ ...backend, timeoutMs, settleMs: timeoutMs })).rejects.toThrow(
    "was accepted and closed at once",
  );
});

test("a server that speaks first is healthy at once", async () => {
  const { backend } = await startBackend((socket) => socket.write("220 ready\r\n"));
  await probeTcp({ ...backend, timeoutMs, settleMs: timeoutMs });
});

test("failures of the server have the fault release, failures of this machine the fault host", async () => {
  const sick = { ...(await httpServer(503)), path: "/", timeoutMs };
  const { backend: silent } = await startBackend();
  const { backend: closing } = await startBackend((socket) => socket.end());
  const dead = await deadBackend();
  const nowhere = { host: "255.255.255.255", port: 80, timeoutMs };
  const faults = [
    probeHttp(sick),
    probeHttp({ ...silent, path: "/", timeoutMs: 50 }),
    probeTcp({ ...closing, timeoutMs, settleMs: timeoutMs }),
    probeTcp({ ...dead, timeoutMs }),
    probeTcp(nowhere),
  ].map((probe) => probe.then(() => undefined, faultOf));
  expect(await Promise.all(faults)).toEqual(["release", "release", "release", "release", "host"]);
});

test("the signal aborts a probe", async () => {
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
