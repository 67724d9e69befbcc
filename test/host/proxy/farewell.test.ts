import { Agent, createServer, request } from "node:http";
import { describe, expect, it, onTestFinished, test } from "vitest";
import { LastAnswer, withClose } from "../../../src/host/proxy/http_farewell.ts";
import { startTcpProxy, type TcpProxy } from "../../../src/host/proxy/tcp_proxy.ts";
import { type FakeClock, fakeClock } from "../../fakes/clock.ts";
import { closed, connected, listening, received, startBackend, until } from "./sockets.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

describe("withClose", () => {
  it.each([
    [
      "an answer",
      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi",
    ],
    [
      "an answer that says to keep it",
      "HTTP/1.1 404 No\r\nconnection: keep-alive\r\nKeep-Alive: timeout=5\r\nX: y\r\n\r\n",
      "HTTP/1.1 404 No\r\nX: y\r\nConnection: close\r\n\r\n",
    ],
    [
      "an answer behind an interim one",
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nA: b\r\n\r\n",
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nA: b\r\nConnection: close\r\n\r\n",
    ],
    [
      "an answer of bytes that are no text",
      "HTTP/1.1 200 OK\r\nX: \u00e9\r\n\r\n\u00ff",
      "HTTP/1.1 200 OK\r\nX: \u00e9\r\nConnection: close\r\n\r\n\u00ff",
    ],
  ])("is told in %s", (_, before, after) => {
    const changed = withClose(Buffer.from(before, "latin1"));
    expect(Buffer.from(changed ?? []).toString("latin1")).toBe(after);
  });

  it.each([
    ["an interim answer alone", "HTTP/1.1 100 Continue\r\n\r\n"],
    ["an upgrade", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n"],
    ["HTTP/1.0, which ends by itself", "HTTP/1.0 200 OK\r\n\r\n"],
    ["a head that is cut off", "HTTP/1.1 200 OK\r\nContent-"],
    ["another protocol", "+OK ready\r\n\r\n"],
    ["nothing", ""],
  ])("leaves %s alone", (_, text) => {
    expect(withClose(bytes(text))).toBeUndefined();
  });
});

describe("LastAnswer.isWhole", () => {
  it.each([
    ["a length, and all of it", ["HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab", "cd"], true],
    ["a length, and less", ["HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab"], false],
    ["a length, and more", ["HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab"], false],
    ["no body by its status", ["HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"], true],
    [
      "the last of its chunks",
      ["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "2\r\nab\r\n0\r\n\r\n"],
      true,
    ],
    [
      "not the last of its chunks",
      ["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "2\r\nab\r\n"],
      false,
    ],
    ["an end with its connection", ["HTTP/1.1 200 OK\r\n\r\n"], false],
    ["an interim answer only", ["HTTP/1.1 100 Continue\r\n\r\n"], false],
    ["a head that is too long", [`HTTP/1.1 204 No\r\nX: ${"x".repeat(3_000)}\r\n\r\n`], false],
    ["an upgrade", ["HTTP/1.1 101 Switching\r\nContent-Length: 0\r\n\r\n"], false],
    ["another protocol", ["+OK\r\n\r\n"], false],
    ["nothing yet", [], false],
  ])("of %s", (_, chunks, isWhole) => {
    const answer = new LastAnswer();
    answer.asked(bytes("GET / HTTP/1.1\r\n\r\n"));
    for (const chunk of chunks) answer.add(bytes(chunk));
    expect(answer.isWhole).toBe(isWhole);
  });

  it("of an answer to HEAD, which only says a length", () => {
    const answer = new LastAnswer();
    answer.asked(bytes("HEAD / HTTP/1.1\r\n\r\n"));
    answer.add(bytes("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"));
    expect(answer.isWhole).toBe(true);
  });
});

describe("the farewell of a backend that leaves", () => {
  const DRAIN_MS = 60_000;

  test("ends a connection in use with its next answer: nothing is lost, and the drain is over", async () => {
    const { proxy } = await started();
    const old = await httpServer("old");
    const fresh = await httpServer("new");
    proxy.setBackends([old]);
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    onTestFinished(() => agent.destroy());
    const ask = (): Promise<string> => get(proxy, agent);
    expect(await ask()).toBe("old keep-alive");
    proxy.setBackends([fresh]);
    const drained = proxy.drain(old, DRAIN_MS);
    expect(await ask()).toBe("old close");
    expect(await drained).toEqual({ closed: 1, cut: 0 });
    expect(await ask()).toBe("new keep-alive");
  });

  test("closes a connection that waits for a request after as long as servers do", async () => {
    const { proxy, clock } = await started();
    const server = await startBackend((socket) =>
      socket.on("data", () => socket.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")),
    );
    proxy.setBackends([server.backend]);
    const client = await connected(proxy.address);
    client.write("GET / HTTP/1.1\r\n\r\n");
    await received(client, 38);
    const end = closed(client);
    const drained = proxy.drain(server.backend, DRAIN_MS);
    await clock.sleeping(250);
    clock.advance(4_000);
    await clock.sleeping(250);
    expect(proxy.connections(server.backend)).toBe(1);
    clock.advance(1_000);
    expect(await end).toBe("end");
    expect(await drained).toEqual({ closed: 1, cut: 0 });
  });

  test.each([
    ["an answer that has not ended", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"],
    ["another protocol", "+OK\r\n"],
  ])("leaves %s alone", async (_, answer) => {
    const { proxy, clock } = await started();
    const server = await startBackend((socket) => socket.on("data", () => socket.write(answer)));
    proxy.setBackends([server.backend]);
    const client = await connected(proxy.address);
    client.write("GET / HTTP/1.1\r\n\r\n");
    await received(client, answer.length);
    const drained = proxy.drain(server.backend, DRAIN_MS);
    for (let step = 0; step < 50; step += 1) {
      await clock.sleeping(250);
      clock.advance(1_000);
      await new Promise((resolve) => setImmediate(resolve));
      expect(proxy.connections(server.backend)).toBe(1);
    }
    const end = closed(client);
    clock.advance(10_000);
    await end;
    expect(await drained).toEqual({ closed: 0, cut: 1 });
  });

  test("takes nothing back from one that serves again", async () => {
    const { proxy } = await started();
    const server = await httpServer("old");
    proxy.setBackends([server]);
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    onTestFinished(() => agent.destroy());
    await get(proxy, agent);
    proxy.setBackends([]);
    proxy.setBackends([server]);
    expect(await get(proxy, agent)).toBe("old keep-alive");
    await until(() => proxy.connections(server) === 1);
  });

  async function started(): Promise<{ proxy: TcpProxy; clock: FakeClock }> {
    const clock = fakeClock();
    const listen = { host: "127.0.0.1", port: 0 };
    const proxy = await startTcpProxy({ listen, clock, emit: () => {} });
    onTestFinished(() => proxy.close());
    return { proxy, clock };
  }

  async function httpServer(name: string): Promise<{ host: string; port: number; name: string }> {
    const server = createServer((_, response) => response.end(name));
    onTestFinished(() => {
      server.closeAllConnections();
      server.close();
    });
    return { host: "127.0.0.1", port: await listening(server), name };
  }

  function get({ address }: TcpProxy, agent: Agent): Promise<string> {
    return new Promise((resolve, reject) => {
      const call = request({ ...address, agent }, (response) => {
        let body = "";
        response.on("data", (chunk) => {
          body += chunk;
        });
        response.on("end", () => resolve(`${body} ${response.headers.connection}`));
      });
      call.on("error", reject).end();
    });
  }
});
