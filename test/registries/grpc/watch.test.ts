import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { systemClock } from "../../../src/core/clock.ts";
import type { DewyEvent } from "../../../src/core/event.ts";
import type { Registry } from "../../../src/core/types.ts";
import { createHostIo } from "../../../src/host/io.ts";
import { openRegistry } from "../../../src/registries/open.ts";
import { type FakeGrpcOptions, serveGrpc, type Watch } from "../../fakes/grpc.ts";

const PLATFORM = { os: "linux", arch: "amd64" };
const DEADLINES = [10_000, 75_000];
/** Pauses are over soon; deadlines are not. */
const hurried = {
  ...systemClock,
  sleep: (ms: number, signal?: AbortSignal) =>
    systemClock.sleep(DEADLINES.includes(ms) ? ms : ms / 100, signal),
};

interface Watching {
  registry: Registry;
  changes: number;
  events: DewyEvent[];
  stop(): Promise<void>;
}

async function watching(target: string, query = "", token = ""): Promise<Watching> {
  const events: DewyEvent[] = [];
  const io = await createHostIo({
    env: { DEWY_REGISTRY_TOKEN: token },
    platform: PLATFORM,
    clock: hurried,
    emit: (event) => void events.push(event),
  });
  const registry = openRegistry(`grpc://${target}?no-tls=true${query}`, io);
  const end = new AbortController();
  const state: Watching = { registry, changes: 0, events, stop: async () => {} };
  const onChange = (): void => {
    state.changes += 1;
  };
  const ended = registry.watch?.({ onChange, signal: end.signal });
  state.stop = async () => {
    end.abort();
    await ended;
  };
  onTestFinished(state.stop);
  return state;
}

/** A version that changes when a test says so. */
function announcements() {
  let version = { id: "id-1", tag: "v1.2.3" };
  let wake = (): void => {};
  const watch: Watch = async function* (_, { signal }) {
    signal.addEventListener("abort", () => wake());
    while (!signal.aborted) {
      yield version;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
  return {
    watch,
    announce(tag: string) {
      version = { id: `id of ${tag}`, tag };
      wake();
    },
  };
}

async function serve(options: FakeGrpcOptions) {
  const server = await serveGrpc(options);
  onTestFinished(() => server.close());
  return server;
}

describe.each(["grpc", "connect", "grpc-web"])("a watch over %s", (protocol) => {
  const query = `&protocol=${protocol}`;

  test("reports a version that polls have not been answered, once", async () => {
    const { watch, announce } = announcements();
    const server = await serve({ watch, http1: protocol !== "grpc" });
    const machine = await watching(server.target, query, "s3cret");
    await machine.registry.resolve();
    await vi.waitFor(() => expect(server.watches).toHaveLength(1));
    expect(server.watches[0]?.headers.get("authorization")).toBe("Bearer s3cret");
    announce("v2.0.0");
    await vi.waitFor(() => expect(machine.changes).toBe(1));
    announce("v2.0.0");
    announce("v3.0.0");
    await vi.waitFor(() => expect(machine.changes).toBe(2));
  });

  test("is opened again after a pause when the connection breaks", async () => {
    const { watch } = announcements();
    const server = await serve({ watch, http1: protocol !== "grpc" });
    const machine = await watching(server.target, query);
    await vi.waitFor(() => expect(server.watches).toHaveLength(1));
    server.hangUp();
    await vi.waitFor(() => expect(server.watches).toHaveLength(2), 10_000);
    expect(machine.events.filter(({ type }) => type === "watch-ended")).toHaveLength(1);
  });

  test("leaves it to the polls where the server does not know it", async () => {
    const server = await serve({ http1: protocol !== "grpc" });
    const machine = await watching(server.target, query);
    await vi.waitFor(() =>
      expect(machine.events.find(({ type }) => type === "watch-ended")).toMatchObject({
        retryInMs: expect.toSatisfy((ms: number) => ms > 5 * 60_000),
      }),
    );
    expect(await machine.registry.resolve()).toMatchObject({ kind: "ready" });
    expect(machine.changes).toBe(0);
  });

  test("ends with its signal", async () => {
    const { watch } = announcements();
    const server = await serve({ watch, http1: protocol !== "grpc" });
    const machine = await watching(server.target, query);
    await vi.waitFor(() => expect(server.watches).toHaveLength(1));
    await machine.stop();
    await vi.waitFor(() => expect(server.watches[0]?.signal.aborted).toBe(true));
  });
});

test("pauses grow while the server fails, with jitter", async () => {
  const watch: Watch = () => {
    throw new ConnectError("down", Code.Unavailable);
  };
  const server = await serve({ watch });
  const machine = await watching(server.target);
  await vi.waitFor(() => expect(server.watches.length).toBeGreaterThan(4), 20_000);
  const pauses = machine.events.flatMap((event) =>
    event.type === "watch-ended" ? [event.retryInMs] : [],
  );
  for (const [at, ms] of pauses.entries()) {
    expect(ms).toBeGreaterThanOrEqual(500 * 2 ** (at + 1));
    expect(ms).toBeLessThanOrEqual(1_500 * 2 ** (at + 1));
  }
});
