import { Agent, createServer, request } from "node:http";
import type { Socket } from "node:net";
import { describe, expect, it, onTestFinished, test } from "vitest";
import { HttpFraming } from "../../../src/host/proxy/http_framing.ts";
import {
  startTcpProxy,
  type TcpProxy,
  type TcpProxyOptions,
} from "../../../src/host/proxy/tcp_proxy.ts";
import { type FakeClock, fakeClock } from "../../fakes/clock.ts";
import {
  closed,
  connected,
  listening,
  received,
  startBackend,
  until,
  untilEnd,
} from "./sockets.ts";

const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const OK = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const CLOSE = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
const bytes = (text: string): Uint8Array => Buffer.from(text, "latin1");

/** The response that a client gets when its connection should end. */
function told(asked: string, answer: string): string {
  const framing = new HttpFraming();
  framing.request(bytes(asked));
  return Buffer.from(framing.response(bytes(answer), true)).toString("latin1");
}

describe("HttpFraming.response", () => {
  it.each([
    ["a response", OK, CLOSE],
    [
      "a response that says to keep it",
      "HTTP/1.1 404 No\r\nconnection: keep-alive\r\nX: y\r\nContent-Length: 2\r\n\r\nhi",
      "HTTP/1.1 404 No\r\nX: y\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi",
    ],
    [
      "a response behind an interim one",
      `HTTP/1.1 100 Continue\r\n\r\n${OK}`,
      `HTTP/1.1 100 Continue\r\n\r\n${CLOSE}`,
    ],
    [
      "a response of bytes that are not text",
      "HTTP/1.1 200 OK\r\nX: \u00e9\r\nContent-Length: 1\r\n\r\n\u00ff",
      "HTTP/1.1 200 OK\r\nX: \u00e9\r\nContent-Length: 1\r\nConnection: close\r\n\r\n\u00ff",
    ],
  ])("adds Connection: close to %s", (_, before, after) => {
    expect(told(GET, before)).toBe(after);
  });

  it.each([
    ["an interim response alone", GET, "HTTP/1.1 100 Continue\r\n\r\n"],
    ["an upgrade", GET, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n"],
    [
      "an upgrade behind an interim response",
      GET,
      `HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 101 S\r\n\r\n${OK}`,
    ],
    ["HTTP/1.0, which ends by itself", GET, "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"],
    ["a response that ends with its connection", GET, "HTTP/1.1 200 OK\r\n\r\n"],
    ["a response that closes already", GET, CLOSE],
    ["a head that is cut off", GET, "HTTP/1.1 200 OK\r\nContent-"],
    ["another protocol", "EHLO a\r\n", OK],
    ["a tunnel", "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", OK],
    [
      "a tunnel behind a load balancer",
      `PROXY UNKNOWN\r\nCONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n`,
      OK,
    ],
    ["the first of two responses", `${GET}${GET}`, OK],
    [
      "a response to half an upload",
      "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc",
      OK,
    ],
    [
      "options for other fields",
      GET,
      "HTTP/1.1 200 OK\r\nConnection: X\r\nContent-Length: 0\r\n\r\n",
    ],
  ])("does not change %s", (_, asked, answer) => {
    expect(told(asked, answer)).toBe(answer);
  });
});

describe("HttpFraming.isIdle", () => {
  const CHUNKED = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  it.each([
    ["a length, and all of it", ["HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab", "cd"], true],
    ["a length, and less", ["HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab"], false],
    ["a length, and more", ["HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab"], false],
    ["no body by its status", ["HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"], true],
    ["the last of its chunks", [CHUNKED, "2\r\nab\r\n0\r\n\r\n"], true],
    ["the last of its chunks and trailers", [CHUNKED, "2\r\nab\r\n0\r\nX: y\r\n", "\r\n"], true],
    ["not the last of its chunks", [CHUNKED, "2\r\nab\r\n"], false],
    ["an event that is a line with a 0", [CHUNKED, "3\r\n0\r\n\r\n"], false],
    ["the end of a chunk that only looks like it", [CHUNKED, "ffff\r\nab", "cd0\r\n\r\n"], false],
    ["an end with its connection", ["HTTP/1.1 200 OK\r\n\r\n"], false],
    ["an interim response only", ["HTTP/1.1 100 Continue\r\n\r\n"], false],
    ["a head of 3 kB", [`HTTP/1.1 204 No\r\nX: ${"x".repeat(3_000)}\r\n\r\n`], true],
    ["a head that is too long", [`HTTP/1.1 204 No\r\nX: ${"x".repeat(20_000)}\r\n\r\n`], false],
    ["another protocol", ["+OK\r\n"], false],
    ["nothing yet", [], false],
  ])("after a response with %s", (_, chunks, isIdle) => {
    const framing = new HttpFraming();
    framing.request(bytes(GET));
    for (const chunk of chunks) framing.response(bytes(chunk), false);
    expect(framing.isIdle).toBe(isIdle);
  });

  it.each([
    ["two requests at once", [`${GET}${GET}`], false],
    ["half an upload", ["PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n", "abc"], false],
    ["an upload", ["PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n", "abc"], true],
    [
      "chunks",
      ["PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", "0\r\n\r\n"],
      true,
    ],
    ["a line of the PROXY protocol", ["PRO", "XY TCP4 a b 1 2\r\n", GET], true],
    ["a method that begins like it", ["PROPFIND / HTTP/1.1\r\nHost: a\r\n\r\n"], true],
    ["a line of the PROXY protocol that has no end", [`PROXY ${"x".repeat(200)}`, GET], false],
    ["a tunnel", ["CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n"], false],
    ["another protocol", ["EHLO\r\n\r\n"], false],
    ["a request that closes", ["GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"], false],
  ])("after %s and one response", (_, chunks, isIdle) => {
    const framing = new HttpFraming();
    for (const chunk of chunks) framing.request(bytes(chunk));
    framing.response(bytes(OK), false);
    expect(framing.isIdle).toBe(isIdle);
  });

  it("after interim responses and a response to HEAD, which only states a length", () => {
    const framing = new HttpFraming();
    framing.request(bytes("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"));
    framing.response(bytes("HTTP/1.1 103 Hints\r\n\r\n"), false);
    framing.response(bytes("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"), false);
    expect(framing.isIdle).toBe(true);
  });

  it("never before the first request: a server may speak first behind a load balancer, too", () => {
    const framing = new HttpFraming();
    framing.request(bytes("PROXY UNKNOWN\r\n"));
    expect(framing.isIdle).toBe(false);
    framing.response(bytes("220 ready\r\n"), false);
    framing.request(bytes(GET));
    framing.response(bytes(OK), false);
    expect(framing.isIdle).toBe(false);
  });
});

const DRAIN_MS = 60_000;

describe("draining a backend while there are others", () => {
  test("moves idle connections to another backend, and the drain ends", async () => {
    const { proxy } = await started();
    const old = await httpServer("old");
    const fresh = await httpServer("new");
    proxy.setBackends([old]);
    const agent = keepAlive();
    expect(await ask(proxy, agent)).toBe("old GET keep-alive");
    proxy.setBackends([fresh]);
    expect(await proxy.drain(old, DRAIN_MS)).toEqual({ closed: 0, cut: 0 });
    // No client would retry this by itself.
    expect(await ask(proxy, agent, "POST")).toBe("new POST keep-alive");
    expect(proxy.stats()).toMatchObject({ accepted: 1, open: 1 });
  });

  test("finishes the current response first, unchanged", async () => {
    const { proxy } = await started();
    const [old, fresh] = [await startBackend(), await startBackend()];
    proxy.setBackends([old.backend]);
    const client = await connected(proxy.address);
    client.write(GET);
    const before = await old.accepted();
    await received(before, GET.length);
    before.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab");
    await received(client, 40);
    proxy.setBackends([fresh.backend]);
    const drained = proxy.drain(old.backend, DRAIN_MS);
    before.write("cd");
    expect((await received(client, 2)).toString()).toBe("cd");
    expect(await drained).toEqual({ closed: 1, cut: 0 });
    client.write(GET);
    expect((await received(await fresh.accepted(), GET.length)).toString()).toBe(GET);
  });

  test("sends the PROXY headers of the load balancer and of the proxy to the next backend", async () => {
    const { proxy } = await started({ proxyProtocol: "v1" });
    const [old, fresh] = [await startBackend(), await startBackend()];
    proxy.setBackends([old.backend]);
    const client = await connected(proxy.address);
    const line = "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n";
    client.write(`${line}${GET}`);
    const before = await old.accepted();
    const own = (await received(before, 60 + line.length)).toString();
    before.write(OK);
    await received(client, OK.length);
    proxy.setBackends([fresh.backend]);
    client.write(GET);
    expect((await received(await fresh.accepted(), own.length)).toString()).toBe(own);
  });

  test("moves an unused connection at once: the next backend may speak first", async () => {
    const { proxy, clock } = await started();
    const [old, fresh] = [await startBackend(), await startBackend((one) => one.write("220 hi"))];
    proxy.setBackends([old.backend]);
    const client = await connected(proxy.address);
    const before = closed(await old.accepted());
    proxy.setBackends([fresh.backend]);
    const greeting = received(client, 6);
    // The backend may know of the connection before the proxy does.
    while (proxy.connections(old.backend) > 0) await pass(clock, 1_000);
    expect((await greeting).toString()).toBe("220 hi");
    expect(await before).toBe("end");
    client.write("EHLO a\r\n");
    expect((await received(await fresh.accepted(), 8)).toString()).toBe("EHLO a\r\n");
  });

  test("accepts that a client closes its connection between two requests", async () => {
    const { proxy } = await started();
    const old = await httpServer("old");
    proxy.setBackends([old]);
    const client = await connected(proxy.address);
    client.write(GET);
    await received(client, 50);
    proxy.setBackends([await httpServer("new")]);
    expect(proxy.connections(old)).toBe(0);
    client.end();
    expect(await closed(client)).toBe("end");
    await until(() => proxy.stats().open === 0);
  });

  test.each([
    ["a response that has not ended", GET, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"],
    ["another protocol", "EHLO a\r\n", "250 hello\r\n"],
    ["a tunnel", GET, "HTTP/1.1 101 Switching Protocols\r\n\r\n"],
  ])("keeps %s until the drain ends", async (_, asked, answer) => {
    const { proxy, clock } = await started();
    const old = await startBackend((socket) => socket.on("data", () => socket.write(answer)));
    proxy.setBackends([old.backend]);
    const client = await connected(proxy.address);
    client.write(asked);
    await received(client, answer.length);
    proxy.setBackends([await httpServer("new")]);
    const drained = proxy.drain(old.backend, DRAIN_MS);
    await pass(clock, 50_000, () => expect(proxy.connections(old.backend)).toBe(1));
    const end = closed(client);
    clock.advance(10_000);
    await end;
    expect(await drained).toEqual({ closed: 0, cut: 1 });
  });

  test("keeps connections on a backend that is added again", async () => {
    const { proxy } = await started();
    const server = await httpServer("old");
    proxy.setBackends([server]);
    const agent = keepAlive();
    await ask(proxy, agent);
    proxy.setBackends([]);
    proxy.setBackends([server]);
    expect(await ask(proxy, agent)).toBe("old GET keep-alive");
    expect(proxy.stats()).toMatchObject({ accepted: 1 });
  });
});

describe("closing a proxy", () => {
  test("adds Connection: close to the next response, then ends", async () => {
    const { proxy } = await started();
    proxy.setBackends([await httpServer("old")]);
    const agent = keepAlive();
    expect(await ask(proxy, agent)).toBe("old GET keep-alive");
    const over = proxy.close({ drainMs: DRAIN_MS });
    expect(await ask(proxy, agent)).toBe("old GET close");
    await over;
  });

  test("closes the connection of a client that got Connection: close and waits", async () => {
    const { proxy } = await started();
    const server = await startBackend((socket) => {
      socket.on("data", () => socket.write(OK)).on("end", () => socket.end());
    });
    proxy.setBackends([server.backend]);
    const client = await connected(proxy.address);
    client.write(GET);
    await received(client, OK.length);
    const over = proxy.close({ drainMs: DRAIN_MS });
    client.write(GET);
    expect(await untilEnd(client)).toBe(CLOSE);
    client.end();
    await over;
  });

  test("closes an idle connection after the time that servers use", async () => {
    const { proxy, clock } = await started();
    const server = await startBackend((socket) => socket.on("data", () => socket.write(OK)));
    proxy.setBackends([server.backend]);
    const client = await connected(proxy.address);
    client.write(GET);
    await received(client, OK.length);
    const end = closed(client);
    const over = proxy.close({ drainMs: DRAIN_MS });
    await pass(clock, 4_000, () => expect(proxy.stats().open).toBe(1));
    await clock.sleeping(250);
    clock.advance(1_000);
    expect(await end).toBe("end");
    await over;
  });

  test("closes an unused connection after the same time", async () => {
    const { proxy, clock } = await started();
    const server = await startBackend();
    proxy.setBackends([server.backend]);
    const end = closed(await connected(proxy.address));
    await server.accepted();
    const over = proxy.close({ drainMs: DRAIN_MS });
    await pass(clock, 4_000, () => expect(proxy.stats().open).toBe(1));
    while (proxy.stats().open > 0) await pass(clock, 1_000);
    expect(await end).toBe("end");
    await over;
  });

  test("sends a slow client its whole response", async () => {
    const { proxy, clock } = await started();
    const server = await startBackend();
    proxy.setBackends([server.backend]);
    // The proxy assumes that the client does not read: a slightly shorter response has arrived, but has not been sent.
    const measure = await connected(proxy.address);
    measure.write(GET);
    const endless = await server.accepted();
    const pump = (): void => {
      while (endless.write(Buffer.alloc(65_536)));
    };
    endless.on("drain", pump);
    pump();
    const length = await settled(() => proxy.stats().bytesToClients);
    measure.destroy();

    // How much that is, differs a little from time to time.
    const answers = [0, 10_000, 20_000, 30_000, 40_000, 50_000].map(async (less) => {
      const client = await connected(proxy.address);
      client.write(GET);
      const socket = await server.accepted();
      await received(socket, GET.length);
      const body = Buffer.alloc(length - less);
      const head = `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n`;
      socket.write(Buffer.concat([Buffer.from(head), body]));
      return { client, size: head.length + body.length };
    });
    const asked = await Promise.all(answers);
    await settled(() => proxy.stats().bytesToClients);
    const startedAt = clock.now();
    void proxy.close({ drainMs: DRAIN_MS });
    // Clients that have received the whole response may be closed by now.
    while (proxy.stats().open > 0 && clock.now() < startedAt + 20_000) await pass(clock, 1_000);
    for (const { client, size } of asked) expect((await received(client, size)).length).toBe(size);
  });

  const BODY = "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\n\r\nlog line";
  const UPGRADE = "HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 101 Switching Protocols\r\n\r\n";
  const TUNNEL = "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nCONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n";
  test.each([
    [
      "a body that looks like a response",
      `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${BODY.length + 6}\r\n\r\nfirst\n`,
      `HTTP/1.1 200 OK\r\nContent-Length: ${BODY.length + 6}\r\n\r\nfirst\n`,
    ],
    ["what looks like a response in an upgraded connection", GET, UPGRADE],
    ["what looks like a response in a tunnel", TUNNEL, OK],
  ])("does not change %s", async (_, asked, answer) => {
    const { proxy } = await started();
    const server = await startBackend();
    proxy.setBackends([server.backend]);
    const client = await connected(proxy.address);
    client.write(asked);
    const upstream = await server.accepted();
    await received(upstream, asked.length);
    upstream.write(answer);
    await received(client, answer.length);
    void proxy.close({ drainMs: DRAIN_MS });
    await echo(client, upstream, BODY);
  });
});

/** Sends bytes to the backend and back, and expects the same ones. */
async function echo(client: Socket, upstream: Socket, text: string): Promise<void> {
  client.write(text);
  expect((await received(upstream, text.length)).toString()).toBe(text);
  upstream.write(text);
  upstream.end();
  expect(await untilEnd(client)).toBe(text);
}

async function started(
  options: Partial<TcpProxyOptions> = {},
): Promise<{ proxy: TcpProxy; clock: FakeClock }> {
  const clock = fakeClock();
  const listen = { host: "127.0.0.1", port: 0 };
  const proxy = await startTcpProxy({ listen, clock, emit: () => {}, ...options });
  onTestFinished(() => proxy.close());
  return { proxy, clock };
}

/** Advances time second by second, so that the proxy checks after each. */
async function pass(clock: FakeClock, ms: number, look = (): void => {}): Promise<void> {
  for (let passed = 0; passed < ms; passed += 1_000) {
    await clock.sleeping(250);
    clock.advance(1_000);
    await new Promise((resolve) => setImmediate(resolve));
    look();
  }
}

/** Waits until a number no longer changes. */
async function settled(number: () => number): Promise<number> {
  for (let last = -1, same = 0; ; ) {
    same = number() === last && last > 0 ? same + 1 : 0;
    last = number();
    if (same === 30) return last;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

async function httpServer(name: string): Promise<{ host: string; port: number; name: string }> {
  const server = createServer(({ method }, response) => response.end(`${name} ${method}`));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { host: "127.0.0.1", port: await listening(server), name };
}

function keepAlive(): Agent {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  onTestFinished(() => agent.destroy());
  return agent;
}

/** Returns which backend answered what, and what happens to the connection. */
function ask({ address }: TcpProxy, agent: Agent, method = "GET"): Promise<string> {
  return new Promise((resolve, reject) => {
    const call = request({ ...address, agent, method }, (response) => {
      let body = "";
      response.on("data", (chunk) => {
        body += chunk;
      });
      response.on("end", () => resolve(`${body} ${response.headers.connection}`));
    });
    call.on("error", reject).end();
  });
}
