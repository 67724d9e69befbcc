import { describe, expect, it, onTestFinished } from "vitest";
import type { EngineContainer } from "../../../src/container/engine/engine.ts";
import { Backends, type Route } from "../../../src/container/replicas/backends.ts";
import { Replica } from "../../../src/container/replicas/replica.ts";
import { systemClock } from "../../../src/core/clock.ts";
import { startTcpProxy } from "../../../src/host/proxy/tcp_proxy.ts";

/** A replica whose container port 80 is published at 10080, and so on. */
function replica(containerPorts: readonly number[], exposed?: number): Replica {
  const container: EngineContainer = {
    id: "id",
    name: "app-1-0",
    image: "app",
    imageId: "sha256:1",
    status: "running",
    health: undefined,
    checkEveryMs: 30_000,
    exitCode: undefined,
    wasOutOfMemory: false,
    wasSignalled: false,
    restarts: 0,
    startedAt: "2026-01-01T00:00:00Z",
    labels: exposed === undefined ? {} : { "dewy.exposed": String(exposed) },
    ports: containerPorts.map((port) => ({
      container: port,
      host: "127.0.0.1",
      port: 10_000 + port,
    })),
  };
  return new Replica(container, 0);
}

async function rotation(...containerPorts: (number | undefined)[]): Promise<Backends> {
  const routes: Route[] = [];
  for (const containerPort of containerPorts) {
    const listen = { host: "127.0.0.1", port: 0 };
    const proxy = await startTcpProxy({ listen, clock: systemClock, emit: () => {} });
    onTestFinished(() => proxy.close());
    routes.push({ proxy, containerPort });
  }
  return new Backends({ routes: () => routes, open: async () => {}, close: async () => {} });
}

describe("Backends.addresses", () => {
  it.each([
    ["the given ports in their order", [9000, 80], [80, 9000], undefined, [9000, 80]],
    ["the exposed port if none was given", [undefined], [3000], 3000, [3000]],
    ["the exposed port for two proxy ports", [undefined, undefined], [80], 80, [80, 80]],
    ["given and exposed ports", [undefined, 9000], [9000, 9500], 9500, [9500, 9000]],
    ["the only port if the flags have changed", [4000], [3000], 3000, [3000]],
    ["the only port if another dewy started it", [undefined], [3000], undefined, [3000]],
    ["no ambiguous port", [4000, 5000], [3000], 3000, []],
  ])("contain %s", async (_, routes, published, exposed, expected) => {
    const { length } = expected;
    const addresses = (await rotation(...routes)).addresses(replica(published, exposed));
    expect(addresses.map(({ port }) => port - 10_000)).toEqual(expected);
    expect(addresses).toHaveLength(length);
  });
});
