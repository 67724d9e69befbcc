import { describe, expect, it, onTestFinished, vi } from "vitest";
import type { Clock } from "../../../src/core/clock.ts";
import { steadyClock } from "../../../src/host/process/steady_clock.ts";
import { startTcpProxy } from "../../../src/host/proxy/tcp_proxy.ts";
import { connected, received, startBackend, until } from "../proxy/sockets.ts";

describe("steadyClock", () => {
  it("keeps proxied connections open when the system clock jumps forward", async () => {
    const listen = { host: "127.0.0.1", port: 0 };
    const idleTimeoutMs = 10_000;
    let sleeps = 0;
    const clock: Clock = {
      now: steadyClock.now,
      monotonic: steadyClock.monotonic,
      sleep: (ms, signal) => {
        sleeps += 1;
        return steadyClock.sleep(ms, signal);
      },
    };
    const proxy = await startTcpProxy({ listen, idleTimeoutMs, clock, emit: () => {} });
    onTestFinished(() => proxy.close());
    const server = await startBackend((socket) => socket.pipe(socket));
    proxy.setBackends([server.backend]);
    const client = await connected(proxy.address);
    client.write("ping");
    await received(client, 4);
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 24 * 3_600_000 });
    onTestFinished(() => void vi.useRealTimers());
    // The proxy looks for idle connections between two sleeps.
    const before = sleeps;
    await until(() => sleeps > before + 1);
    expect(proxy.stats()).toMatchObject({ open: 1, idle: 0 });
  });

  it("agrees with the system clock as long as that is not changed", () => {
    expect(Math.abs(steadyClock.now() - Date.now())).toBeLessThan(60_000);
  });
});
