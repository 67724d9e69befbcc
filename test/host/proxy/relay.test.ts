import { createHash, randomBytes } from "node:crypto";
import type { Socket } from "node:net";
import { describe, expect, test } from "vitest";
import type { TcpProxyStats } from "../../../src/host/proxy/tcp_proxy.ts";
import { runtimes } from "../../runtime/runtimes.ts";
import { type ProxyProcess, startProxy } from "./proxy_process.ts";
import { closed, connected, received, startBackend, until, untilEnd } from "./sockets.ts";

const MIB = 1024 * 1024;

describe.each(runtimes)("a proxied connection on $name", (runtime) => {
  test("relays bytes in both directions", async () => {
    const proxy = await startProxy(runtime);
    const server = await startBackend((socket) => socket.pipe(socket));
    await proxy.setBackends([server.backend]);
    const client = await connected(proxy.address);
    client.write("ping");
    expect((await received(client, 4)).toString()).toBe("ping");
    expect(await proxy.connections(server.backend)).toBe(1);
    client.end();
    await closed(client);
    await until(async () => (await proxy.connections(server.backend)) === 0);
    expect(await proxy.stats()).toMatchObject({ open: 0, bytesToBackends: 4, bytesToClients: 4 });
  });

  test("keeps the backend's direction open after the client ended its own", async () => {
    const proxy = await startProxy(runtime);
    const server = await startBackend();
    await proxy.setBackends([server.backend]);
    const client = await connected(proxy.address);
    client.end("question");
    const upstream = await server.accepted();
    expect(await untilEnd(upstream)).toBe("question");
    const answer = untilEnd(client);
    upstream.write("a long ");
    await until(async () => (await proxy.stats()).bytesToClients === 7);
    upstream.end("answer");
    expect(await answer).toBe("a long answer");
  });

  test("keeps the client's direction open after the backend ended its own", async () => {
    const proxy = await startProxy(runtime);
    const server = await startBackend();
    await proxy.setBackends([server.backend]);
    const client = await connected(proxy.address);
    const upstream = await server.accepted();
    upstream.end("goodbye");
    expect(await untilEnd(client)).toBe("goodbye");
    const rest = untilEnd(upstream);
    client.write("one more ");
    await until(async () => (await proxy.stats()).bytesToBackends === 9);
    client.end("thing");
    expect(await rest).toBe("one more thing");
    await until(async () => (await proxy.stats()).open === 0);
  });

  test("resets the backend when the client resets", async () => {
    const proxy = await startProxy(runtime);
    const server = await startBackend((socket) => socket.write("hello"));
    await proxy.setBackends([server.backend]);
    const client = await connected(proxy.address);
    await received(client, 5);
    const end = closed(await server.accepted());
    client.resetAndDestroy();
    expect(await end).toBe("ECONNRESET");
  });

  test("resets the client when the backend resets, after relaying its bytes", async () => {
    const proxy = await startProxy(runtime);
    const server = await startBackend((socket) => socket.write("half an answer"));
    await proxy.setBackends([server.backend]);
    const client = await connected(proxy.address);
    expect((await received(client, 14)).toString()).toBe("half an answer");
    const end = closed(client);
    (await server.accepted()).resetAndDestroy();
    expect(await end).toBe("ECONNRESET");
  });

  test("hands a response on that comes early, to uploads of any size that are not read", async () => {
    const proxy = await startProxy(runtime);
    const response = "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    const server = await startBackend((socket) => {
      socket.once("data", () => {
        socket.pause();
        // Unread bytes make this a reset.
        socket.write(response, () => socket.destroy());
      });
    });
    await proxy.setBackends([server.backend]);
    const sizes = [5_000, 70_000, 300_000, 30_000_000];
    for (const size of [...sizes, ...sizes, ...sizes]) {
      const client = await connected(proxy.address);
      client.write(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${size}\r\n\r\n`);
      const answer = received(client, response.length);
      const sent = send(client, Buffer.alloc(Math.ceil(size / 10)), 10);
      expect((await answer).toString(), `an upload of ${size} bytes`).toBe(response);
      await sent;
    }
  });

  test("relays 48 MiB each way past stalled readers with flat memory", async () => {
    const proxy = await startProxy(runtime);
    const server = await startBackend((socket) => socket.pause());
    await proxy.setBackends([server.backend]);
    const block = randomBytes(MIB);
    const expected = digestOf(block, 48);
    const memory: number[] = [];
    for (let round = 0; round < 3; round += 1) {
      const client = await connected(proxy.address);
      client.pause();
      const upstream = await server.accepted();
      const sent = [send(client, block, 48), send(upstream, block, 48)];
      const { bytesToBackends, bytesToClients } = await untilStill(proxy);
      expect(bytesToBackends + bytesToClients).toBeLessThan((round * 2 + 1) * 48 * MIB);
      const digests = await Promise.all([digest(upstream), digest(client), ...sent]);
      expect(digests.slice(0, 2)).toEqual([expected, expected]);
      memory.push(await proxy.memory());
    }
    const [first = 0, ...later] = memory;
    // V8 collects buffers only once there are some 64 MiB of them; what would not be flat is 192 MiB.
    expect(Math.max(...later) - first).toBeLessThan(160 * MIB);
  });

  test("closes a connection without traffic after the idle timeout", async () => {
    const proxy = await startProxy(runtime, { idleTimeoutMs: 200 });
    const server = await startBackend((socket) => socket.write("hello"));
    await proxy.setBackends([server.backend]);
    // The client does not read before it listens for the end, which may come at any moment on a slow machine.
    const client = await connected(proxy.address);
    const ends = [closed(client), closed(await server.accepted())];
    expect(await Promise.all(ends)).toEqual(["end", "end"]);
    await until(async () => (await proxy.stats()).open === 0);
    expect(await proxy.stats()).toMatchObject({ idle: 1 });
  });
});

/** Until no byte moves any more: the pressure of the readers has reached the senders. */
async function untilStill(proxy: ProxyProcess): Promise<TcpProxyStats> {
  let last: TcpProxyStats | undefined;
  for (;;) {
    const stats = await proxy.stats();
    const moved = [stats, last].map((one) => (one ? one.bytesToBackends + one.bytesToClients : 0));
    if (moved[0] === moved[1] && moved[0] !== 0) return stats;
    last = stats;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

function digestOf(block: Buffer, count: number): string {
  const hash = createHash("sha256");
  for (let index = 0; index < count; index += 1) hash.update(block);
  return hash.digest("hex");
}

async function send(socket: Socket, block: Buffer, count: number): Promise<void> {
  for (let index = 0; index < count; index += 1) {
    if (!socket.write(block)) await new Promise((resolve) => socket.once("drain", resolve));
  }
  socket.end();
}

function digest(socket: Socket): Promise<string> {
  const hash = createHash("sha256");
  return new Promise((resolve) => {
    socket.on("data", (chunk) => hash.update(chunk));
    socket.once("end", () => resolve(hash.digest("hex")));
    socket.resume();
  });
}
