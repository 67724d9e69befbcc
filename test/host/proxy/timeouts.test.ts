import type { Socket } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { Deadlines } from "../../../src/host/proxy/deadlines.ts";
import { startTcpProxy, type TcpProxy } from "../../../src/host/proxy/tcp_proxy.ts";
import { type FakeClock, fakeClock } from "../../fakes/clock.ts";
import { connected, received, startBackend, until, untilEnd } from "./sockets.ts";

const IDLE_MS = 100_000;
const SWEEP_MS = 5_000;

async function idleProxy(): Promise<{
  clock: FakeClock;
  proxy: TcpProxy;
  client: Socket;
  upstream: Socket;
  /** Advances time, and waits until the proxy has checked. */
  pass(ms: number): Promise<void>;
}> {
  const clock = fakeClock();
  const listen = { host: "127.0.0.1", port: 0 };
  const proxy = await startTcpProxy({ listen, idleTimeoutMs: IDLE_MS, clock, emit: () => {} });
  onTestFinished(() => proxy.close());
  const server = await startBackend((socket) => socket.write("hello"));
  proxy.setBackends([server.backend]);
  const client = await connected(proxy.address);
  await received(client, 5);
  const upstream = await server.accepted();
  const pass = async (ms: number): Promise<void> => {
    await clock.sleeping(SWEEP_MS);
    clock.advance(ms);
    await clock.sleeping(SWEEP_MS);
  };
  return { clock, proxy, client, upstream, pass };
}

test("traffic in either direction resets the idle timeout", async () => {
  const { proxy, client, upstream, pass } = await idleProxy();
  await pass(IDLE_MS - 1);
  client.write("ping");
  await received(upstream, 4);
  await pass(IDLE_MS - 1);
  upstream.write("pong");
  await received(client, 4);
  await pass(IDLE_MS - 1);
  expect(proxy.stats()).toMatchObject({ open: 1, idle: 0 });
  await pass(SWEEP_MS);
  await until(() => proxy.stats().open === 0);
  expect(proxy.stats().idle).toBe(1);
});

test("a client that does not notice the end of its backend is closed after 30 s", async () => {
  const { proxy, client, upstream, pass } = await idleProxy();
  upstream.end("goodbye");
  expect(await untilEnd(client)).toBe("goodbye");
  await pass(29_999);
  expect(proxy.stats().open).toBe(1);
  await pass(SWEEP_MS);
  await until(() => proxy.stats().open === 0);
});

test("a half-closed client has the same idle timeout for its response", async () => {
  const { proxy, client, upstream, pass } = await idleProxy();
  client.end("question");
  expect(await untilEnd(upstream)).toBe("question");
  await pass(IDLE_MS - 1);
  expect(proxy.stats().open).toBe(1);
  upstream.end("answer");
  expect(await untilEnd(client)).toBe("answer");
});

test("deadlines expire in the order of add(), but not for deleted items", async () => {
  const clock = fakeClock();
  const due: string[] = [];
  const { signal } = new AbortController();
  const deadlines = new Deadlines<string>({
    ms: 100,
    onDue: (thing) => due.push(thing),
    clock,
    signal,
  });
  deadlines.add("a");
  clock.advance(40);
  deadlines.add("b");
  deadlines.add("c");
  deadlines.delete("c");
  clock.advance(60);
  await clock.sleeping(40);
  expect(due).toEqual(["a"]);
  clock.advance(40);
  await until(() => due.length === 2);
  expect(due).toEqual(["a", "b"]);
});
