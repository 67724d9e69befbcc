import type { Socket } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import { systemClock } from "../../../src/core/clock.ts";
import type { DewyEvent } from "../../../src/core/event.ts";
import { startTcpProxy } from "../../../src/host/proxy/tcp_proxy.ts";
import { eventsOf } from "../../deploy/world.ts";
import { runtimes } from "../../runtime/runtimes.ts";
import { startProxy } from "./proxy_process.ts";
import { closed, connected, deadBackend, received, startBackend, until } from "./sockets.ts";

describe.each(runtimes)("the backends of a proxy on $name", (runtime) => {
  test("a client gets the next backend if the first does not accept", async () => {
    const proxy = await startProxy(runtime, { balance: "round-robin" });
    const dead = await deadBackend();
    const { backend } = await startBackend((socket) => socket.pipe(socket));
    await proxy.setBackends([dead, backend]);
    for (let count = 0; count < 5; count += 1) {
      const client = await connected(proxy.address);
      client.write("ping");
      expect((await received(client, 4)).toString()).toBe("ping");
    }
    const { backends } = await proxy.stats();
    expect(backends[0]?.failures).toBeGreaterThan(0);
    expect(backends[1]?.connections).toBe(5);
    const messages = await proxy.messages();
    expect(messages).toHaveLength(1);
    expect(messages[0]).toMatch(
      new RegExp(`^Cannot connect to backend 127.0.0.1:${dead.port}: .*retried with backoff`),
    );
  });

  test("the backend with the fewest connections is next", async () => {
    const proxy = await startProxy(runtime);
    const greet = (socket: Socket): void => void socket.write("hello");
    const [first, second] = [await startBackend(greet), await startBackend(greet)];
    await proxy.setBackends([first.backend, second.backend]);
    // When its greeting has come, the proxy has seen both of its connections.
    const join = async (): Promise<void> =>
      void (await received(await connected(proxy.address), 5));
    for (let count = 0; count < 6; count += 1) await join();
    expect([first.sockets.length, second.sockets.length]).toEqual([3, 3]);
    for (const socket of first.sockets) socket.resetAndDestroy();
    await until(async () => (await proxy.connections(first.backend)) === 0);
    for (let count = 0; count < 3; count += 1) await join();
    expect([first.sockets.length, second.sockets.length]).toEqual([6, 3]);
  });

  test("a client waits while there is no backend, and loses nothing", async () => {
    const proxy = await startProxy(runtime);
    const client = await connected(proxy.address);
    client.write("ping");
    await until(async () => (await proxy.stats()).held === 1);
    const { backend } = await startBackend((socket) => socket.pipe(socket));
    await proxy.setBackends([backend]);
    expect((await received(client, 4)).toString()).toBe("ping");
  });

  test("a client waits until a backend accepts", async () => {
    const proxy = await startProxy(runtime);
    await proxy.setBackends([await deadBackend()]);
    const client = await connected(proxy.address);
    client.write("ping");
    await until(async () => (await proxy.stats()).held === 1);
    const { backend } = await startBackend((socket) => socket.pipe(socket));
    await proxy.setBackends([backend]);
    expect((await received(client, 4)).toString()).toBe("ping");
  });

  test("a client is reset if no backend accepts in time", async () => {
    const proxy = await startProxy(runtime, { holdMs: 50 });
    await proxy.setBackends([await deadBackend()]);
    await proxy.setBackends([]);
    // The reset can come before the client knows that it is connected.
    const how = await connected(proxy.address).then(closed, (error) => error.code);
    expect(how).toBe("ECONNRESET");
    await until(async () => (await proxy.stats()).open === 0);
    expect(await proxy.stats()).toMatchObject({ held: 0, refused: 1 });
    expect(await proxy.messages()).toEqual([
      "No backend accepts connections: clients are turned away until one does",
    ]);
  });

  test("at most maxHeld clients wait", async () => {
    const proxy = await startProxy(runtime, { maxHeld: 2 });
    const clients = [await connected(proxy.address), await connected(proxy.address)];
    await until(async () => (await proxy.stats()).held === 2);
    // The reset can come before the client knows that it is connected.
    const third = await connected(proxy.address).then(closed, (error) => error.code);
    expect(third).toBe("ECONNRESET");
    const { backend } = await startBackend((socket) => socket.write("hello"));
    await proxy.setBackends([backend]);
    for (const client of clients) expect((await received(client, 5)).toString()).toBe("hello");
  });

  test("close() releases waiting clients", async () => {
    const proxy = await startProxy(runtime);
    const client = await connected(proxy.address);
    await until(async () => (await proxy.stats()).held === 1);
    const end = closed(client);
    await proxy.close();
    expect(await end).toBe("ECONNRESET");
  });
});

test("a client without a backend is an error only after the first backend has started", async () => {
  const events: DewyEvent[] = [];
  const listen = { host: "127.0.0.1", port: 0 };
  const emit = (event: DewyEvent): void => void events.push(event);
  const proxy = await startTcpProxy({ listen, holdMs: 20, clock: systemClock, emit });
  onTestFinished(() => proxy.close());
  const turnedAway = async (): Promise<void> => {
    const before = proxy.stats().refused;
    await connected(proxy.address).then(closed, () => "");
    await until(() => proxy.stats().refused > before);
  };
  await turnedAway();
  await turnedAway();
  expect(eventsOf(events, "warning")).toMatchObject([{ important: false }]);
  const { backend } = await startBackend((socket) => socket.write("hello"));
  proxy.setBackends([backend]);
  await received(await connected(proxy.address), 5);
  proxy.setBackends([]);
  await turnedAway();
  expect(eventsOf(events, "warning")).toMatchObject([{ important: false }, { important: true }]);
});
