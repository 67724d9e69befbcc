import { expect, test } from "vitest";
import { BackendPool } from "../../../src/host/proxy/backend_pool.ts";
import { type FakeClock, fakeClock } from "../../fakes/clock.ts";

const A = { host: "127.0.0.1", port: 1, name: "a" };
const B = { host: "127.0.0.1", port: 2, name: "b" };

function pool(balance: "least-connections" | "round-robin" = "least-connections"): {
  pool: BackendPool<object>;
  clock: FakeClock;
  take: () => string | undefined;
} {
  const clock = fakeClock();
  const made = new BackendPool<object>({ balance, clock });
  return { pool: made, clock, take: () => made.take({})?.backend.name };
}

test("take() returns undefined without a backend", () => {
  const { pool: empty, take } = pool();
  expect(take()).toBeUndefined();
  empty.replace([A]);
  expect(take()).toBe("a");
  empty.replace([]);
  expect(take()).toBeUndefined();
});

test("round-robin alternates regardless of load", () => {
  const { pool: turns, take } = pool("round-robin");
  turns.replace([A, B]);
  const first = turns.take({});
  if (first !== undefined) turns.release(first, {});
  expect([take(), take(), take()]).toEqual(["b", "a", "b"]);
});

test("backends with equally many connections alternate", () => {
  const { pool: equal } = pool();
  equal.replace([A, B]);
  const names = [1, 2, 3, 4].map(() => {
    const connection = {};
    const member = equal.take(connection);
    if (member !== undefined) equal.release(member, connection);
    return member?.backend.name;
  });
  expect(names).toEqual(["a", "b", "a", "b"]);
});

test("a failed backend backs off exponentially, up to 5 s", () => {
  const { pool: failing, clock } = pool();
  failing.replace([A]);
  const rests: number[] = [];
  for (let count = 0; count < 8; count += 1) {
    const connection = {};
    const member = failing.take(connection);
    if (member === undefined) throw new Error("it still rests");
    failing.release(member, connection);
    failing.markFailed(member);
    rests.push(member.backoffUntil - clock.now());
    clock.advance((rests.at(-1) ?? 0) - 1);
    expect(failing.take({})).toBeUndefined();
    clock.advance(1);
  }
  expect(rests).toEqual([100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
});

test("after a backoff one connection is tried first, and the others follow once it succeeds", () => {
  const { pool: resting, clock, take } = pool();
  resting.replace([A]);
  const member = resting.take({});
  if (member === undefined) throw new Error("no backend");
  resting.markFailed(member);
  clock.advance(100);
  expect(take()).toBe("a");
  expect(take()).toBeUndefined();
  resting.markHealthy(member);
  expect([take(), take()]).toEqual(["a", "a"]);
});

test("replace() keeps the connections and the backoff of known backends", () => {
  const { pool: kept, take } = pool();
  kept.replace([A]);
  const member = kept.take({});
  if (member === undefined) throw new Error("no backend");
  kept.markFailed(member);
  kept.replace([B]);
  kept.replace([A, B]);
  expect(kept.find(A)?.connections.size).toBe(1);
  expect([take(), take()]).toEqual(["b", "b"]);
});

test("a removed backend is forgotten with its last connection", () => {
  const { pool: leaving } = pool();
  leaving.replace([A, B]);
  const connection = {};
  const member = leaving.take(connection);
  if (member === undefined) throw new Error("no backend");
  leaving.replace([B]);
  expect(leaving.members().map(({ backend }) => backend.name)).toEqual(["a", "b"]);
  leaving.release(member, connection);
  expect(leaving.members().map(({ backend }) => backend.name)).toEqual(["b"]);
});

test("changed() resolves on other backends, the end of a backoff, and the signal", async () => {
  const { pool: waiting, clock } = pool();
  const { signal } = new AbortController();
  const forBackends = waiting.changed(9_000, signal);
  waiting.replace([A]);
  await forBackends;
  const member = waiting.take({});
  if (member === undefined) throw new Error("no backend");
  waiting.markFailed(member);
  const forRest = waiting.changed(9_000, signal);
  clock.advance(100);
  await forRest;
  const abort = new AbortController();
  const forSignal = waiting.changed(9_000, abort.signal);
  abort.abort();
  await forSignal;
});
