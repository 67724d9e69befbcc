import { Agent, createServer, request } from "node:http";
import { describe, expect, it, onTestFinished, test } from "vitest";
import { HttpExchange, withClose } from "../../../src/host/proxy/http_farewell.ts";
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

describe("HttpExchange.isOver", () => {
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
    const exchange = new HttpExchange();
    exchange.asked(bytes("GET / HTTP/1.1\r\n\r\n"), true);
    for (const chunk of chunks) exchange.answered(bytes(chunk));
    expect(exchange.isOver).toBe(isWhole);
  });

  const EVENTS = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  it.each([
    ["an event that ends with a 0", [EVENTS, "d\r\ndata: 50\n\n...\r\n", "a\r\ndata: 50\n\n\r\n"]],
    ["an event that is a line with a 0", [EVENTS, "3\r\n0\r\n\r\n"]],
    ["such an event with the head", [`${EVENTS}3\r\n0\r\n\r\n`]],
    ["the end of a chunk that only looks like it", [EVENTS, "ffff\r\nab", "cd0\r\n\r\n"]],
    [
      "chunks that are compressed as a whole",
      ["HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"],
    ],
  ])("is not taken from %s", (_, chunks) => {
    const exchange = new HttpExchange();
    exchange.asked(bytes("GET / HTTP/1.1\r\n\r\n"), true);
    for (const chunk of chunks) exchange.answered(bytes(chunk));
    expect(exchange.isOver).toBe(false);
  });

  it.each([
    ["two requests at once", ["GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n"], false],
    ["one behind the other", ["GET /1 HTTP/1.1\r\n\r\n", "GET /2 HTTP/1.1\r\n\r\n"], false],
    ["half an upload", ["PUT / HTTP/1.1\r\nContent-Length: 9\r\n\r\n", "abc"], false],
    ["an upload", ["PUT / HTTP/1.1\r\nContent-Length: 3\r\n\r\n", "abc"], true],
    ["chunks", ["PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", "0\r\n\r\n"], true],
    ["a tunnel", ["CONNECT a:1 HTTP/1.1\r\n\r\n"], false],
    ["another protocol", ["EHLO\r\n\r\n"], false],
  ])("after %s", (_, chunks, isOver) => {
    const exchange = new HttpExchange();
    for (const [index, chunk] of chunks.entries()) exchange.asked(bytes(chunk), index === 0);
    exchange.answered(bytes("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    expect(exchange.isOver).toBe(isOver);
  });

  it("of an answer to HEAD, which only says a length", () => {
    const exchange = new HttpExchange();
    exchange.asked(bytes("HEAD / HTTP/1.1\r\n\r\n"), true);
    exchange.answered(bytes("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"));
    expect(exchange.isOver).toBe(true);
  });
});

describe("HttpExchange.withClose", () => {
  const ANSWER = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
  it.each([
    ["HTTP/1", ["GET / HTTP/1.1\r\n\r\n"], true],
    ["HTTP/1 behind a load balancer", ["PROXY TCP4 a b 1 2\r\nGET / HTTP/1.1\r\n\r\n"], true],
    [
      "HTTP/1 after a header of its own",
      ["PROXY TCP4 a b 1 2\r\n", "GET / HTTP/1.1\r\n\r\n"],
      true,
    ],
    ["a protocol that carries answers of HTTP", ["GET page:1\r\n"], false],
    ["a tunnel", ["CONNECT a:1 HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\n\r\n"], false],
  ])("to a client that speaks %s", (_, asked, isTold) => {
    const exchange = new HttpExchange();
    for (const chunk of asked) exchange.asked(bytes(chunk), true);
    exchange.answered(bytes(ANSWER));
    expect(exchange.withClose(bytes(ANSWER)) !== undefined).toBe(isTold);
  });

  it("never after an upgrade: what is carried then may look like HTTP and is not", () => {
    const exchange = new HttpExchange();
    exchange.asked(bytes("POST /attach HTTP/1.1\r\nUpgrade: tcp\r\n\r\n"), true);
    exchange.answered(bytes("HTTP/1.1 101 Switching\r\n\r\n"));
    exchange.asked(bytes("curl -i app\n"), true);
    exchange.answered(bytes(ANSWER));
    expect(exchange.withClose(bytes(ANSWER))).toBeUndefined();
    expect(exchange.isOver).toBe(false);
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

  test("gives a client that reads slowly all of its answer", async () => {
    const { proxy, clock } = await started();
    const server = await startBackend();
    proxy.setBackends([server.backend]);
    // What the proxy takes for a client that does not read: an answer that is a little shorter has come, and not gone.
    const measure = await connected(proxy.address);
    measure.write("GET / HTTP/1.1\r\n\r\n");
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
      client.write("GET / HTTP/1.1\r\n\r\n");
      const socket = await server.accepted();
      await received(socket, 18);
      const body = Buffer.alloc(length - less);
      const head = `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n`;
      socket.write(Buffer.concat([Buffer.from(head), body]));
      return { client, size: head.length + body.length };
    });
    const asked = await Promise.all(answers);
    await settled(() => proxy.stats().bytesToClients);
    void proxy.drain(server.backend, DRAIN_MS);
    for (let step = 0; step < 20; step += 1) {
      await clock.sleeping(250);
      clock.advance(1_000);
    }
    for (const { client, size } of asked) expect((await received(client, size)).length).toBe(size);
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

  /** A number that does not change any more. */
  async function settled(number: () => number): Promise<number> {
    for (let last = -1, same = 0; ; ) {
      same = number() === last && last > 0 ? same + 1 : 0;
      last = number();
      if (same === 30) return last;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
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
