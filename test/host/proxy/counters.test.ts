import type { Socket } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import { startTcpProxy, type TcpProxyOptions } from "../../../src/host/proxy/tcp_proxy.ts";
import { fakeClock } from "../../fakes/clock.ts";
import { closed, connected, deadBackend, received, startBackend, until } from "./sockets.ts";

const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const LAST_GET = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
const HALF = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhi";
const UPGRADE = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n";

async function started(options: Partial<TcpProxyOptions> = {}) {
  const listen = { host: "127.0.0.1", port: 0 };
  const clock = fakeClock();
  const proxy = await startTcpProxy({ listen, clock, emit: () => {}, ...options });
  onTestFinished(() => proxy.close());
  return { proxy, clock };
}

/** A client whose backend answers each piece of its request with the next response. */
async function talk(...responses: readonly string[]) {
  const { proxy, clock } = await started();
  const left = [...responses];
  const server = await startBackend((socket) => {
    socket.on("data", () => socket.write(left.shift() ?? ""));
    socket.on("end", () => socket.end());
  });
  proxy.setBackends([server.backend]);
  const client = await connected(proxy.address);
  client.once("end", () => client.end());
  const upstream = await server.accepted();
  const ask = async (request: string, answer: string): Promise<void> => {
    client.write(request);
    await received(client, answer.length);
  };
  /** What became of the requests, once the connection has ended. */
  const ended = async () => {
    await until(() => {
      clock.advance(500);
      return proxy.stats().open === 0;
    });
    return proxy.stats().requests;
  };
  return { proxy, client, upstream, ask, ended };
}

describe("connections", () => {
  test("are counted with their bytes, by the port of the proxy", async () => {
    const { proxy, client, ask } = await talk(OK);
    await ask(GET, OK);
    expect(proxy.stats()).toMatchObject({
      port: proxy.address.port,
      accepted: 1,
      open: 1,
      backends: [{ connections: 1, inRotation: true }],
      bytesToBackends: GET.length,
      bytesToClients: OK.length,
      connectFailures: 0,
      refused: 0,
      requests: { answered: 1, interrupted: 0 },
    });
    client.end();
    await until(() => proxy.stats().open === 0);
    expect(proxy.stats()).toMatchObject({ accepted: 1, open: 0 });
  });

  test("that no backend accepts are counted as refused, and each attempt as a failure", async () => {
    const { proxy } = await started({ holdMs: 0 });
    const [one, other] = [await deadBackend(), await deadBackend()];
    proxy.setBackends([one, other]);
    const client = await connected(proxy.address);
    client.write(GET);
    expect(await closed(client)).toBe("ECONNRESET");
    expect(proxy.stats()).toMatchObject({ accepted: 1, refused: 1, connectFailures: 1 });
    expect(proxy.stats().requests).toEqual({ answered: 0, interrupted: 0 });
  });

  test("stay with a backend that is out of rotation", async () => {
    const { proxy, ask } = await talk(OK);
    await ask(GET, OK);
    proxy.setBackends([]);
    expect(proxy.stats()).toMatchObject({ open: 1, backends: [{ inRotation: false }] });
  });

  test("are timed for an observer", async () => {
    const { proxy, clock } = await started();
    const server = await startBackend();
    proxy.setBackends([server.backend]);
    const unobserved = await connected(proxy.address);
    await server.accepted();
    const times: [string, number, number][] = [];
    proxy.observe({
      connected: (port, seconds) => times.push(["connected", port, seconds]),
      closed: (port, seconds) => times.push(["closed", port, seconds]),
    });
    const client = await connected(proxy.address);
    (await server.accepted()).end();
    await until(() => times.length === 1);
    clock.advance(2_500);
    for (const socket of [unobserved, client]) socket.destroy();
    for (const socket of server.sockets) socket.destroy();
    await until(() => proxy.stats().open === 0);
    const { port } = proxy.address;
    expect(times).toEqual([
      ["connected", port, 0],
      ["closed", port, 2.5],
    ]);
  });
});

describe("requests", () => {
  test.each([
    ["one after the other", [GET, GET], [OK, OK]],
    ["behind an interim response", [GET], [`HTTP/1.1 100 Continue\r\n\r\n${OK}`]],
    ["pipelined", [GET + GET], [OK + OK]],
  ])("%s are answered", async (_, requests, responses) => {
    const { client, ask, ended } = await talk(...responses);
    for (const [index, request] of requests.entries()) await ask(request, responses[index] ?? "");
    client.end();
    const answered = requests.join("").split("GET").length - 1;
    expect(await ended()).toEqual({ answered, interrupted: 0 });
  });

  test.each([
    ["the client's last request", LAST_GET, OK],
    ["HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", "HTTP/1.0 200 OK\r\n\r\nhi"],
    ["a response without a length", GET, "HTTP/1.1 200 OK\r\n\r\nhi"],
  ])("%s is answered when the backend ends the connection", async (_, request, response) => {
    const { proxy, upstream, ask, ended } = await talk(response);
    await ask(request, response);
    expect(proxy.stats().requests.answered).toBe(0);
    upstream.end();
    expect(await ended()).toEqual({ answered: 1, interrupted: 0 });
  });

  test("an upgrade is answered, however its connection ends", async () => {
    const { upstream, ask, ended } = await talk(UPGRADE);
    await ask(GET, UPGRADE);
    upstream.resetAndDestroy();
    expect(await ended()).toEqual({ answered: 1, interrupted: 0 });
  });

  test.each<[string, string, (upstream: Socket) => void]>([
    ["a backend that ends in the middle of a response", HALF, (upstream) => upstream.end()],
    ["a backend that ends without a response", "", (upstream) => upstream.end()],
    ["a backend that fails", HALF, (upstream) => upstream.resetAndDestroy()],
  ])("%s interrupts them", async (_, response, end) => {
    const { proxy, client, upstream, ask, ended } = await talk(OK, response);
    await ask(GET, OK);
    client.write(GET);
    if (response === "") await until(() => proxy.stats().bytesToBackends === 2 * GET.length);
    else await received(client, response.length);
    end(upstream);
    await until(() => proxy.stats().requests.interrupted === 1);
    expect(await ended()).toEqual({ answered: 1, interrupted: 1 });
  });

  test("the end of the drain time interrupts them", async () => {
    const { proxy, ask } = await talk(HALF);
    await ask(GET, HALF);
    await proxy.close();
    expect(proxy.stats().requests).toEqual({ answered: 0, interrupted: 1 });
  });

  test("a client that goes away does not", async () => {
    const { client, upstream, ask, ended } = await talk(HALF);
    await ask(GET, HALF);
    const gone = closed(upstream);
    client.resetAndDestroy();
    await gone;
    expect(await ended()).toEqual({ answered: 0, interrupted: 0 });
  });

  test("other protocols have none", async () => {
    const { upstream, ask, ended } = await talk("220 hi\r\n");
    await ask("EHLO a\r\n", "220 hi\r\n");
    upstream.resetAndDestroy();
    expect(await ended()).toEqual({ answered: 0, interrupted: 0 });
  });
});
