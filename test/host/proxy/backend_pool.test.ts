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

test("without a backend there is none to take", () => {
  const { pool: empty, take } = pool();
  expect(take()).toBeUndefined();
  empty.replace([A]);
  expect(take()).toBe("a");
  empty.replace([]);
  expect(take()).toBeUndefined();
});

test("round-robin takes turns, whatever the load", () => {
  const { pool: turns, take } = pool("round-robin");
  turns.replace([A, B]);
  const first = turns.take({});
  if (first !== undefined) turns.release(first, {});
  expect([take(), take(), take()]).toEqual(["b", "a", "b"]);
});

test("backends with equally many connections take turns", () => {
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

test("one that fails rests, twice as long each time, 5 s at most", () => {
  const { pool: failing, clock } = pool();
  failing.replace([A]);
  const rests: number[] = [];
  for (let count = 0; count < 8; count += 1) {
    const connection = {};
    const member = failing.take(connection);
    if (member === undefined) throw new Error("it still rests");
    failing.release(member, connection);
    failing.failed(member);
    rests.push(member.restsUntil - clock.now());
    clock.advance((rests.at(-1) ?? 0) - 1);
    expect(failing.take({})).toBeUndefined();
    clock.advance(1);
  }
  expect(rests).toEqual([100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
});

test("after a rest one connection goes first, and the others follow when it was made", () => {
  const { pool: resting, clock, take } = pool();
  resting.replace([A]);
  const member = resting.take({});
  if (member === undefined) throw new Error("no backend");
  resting.failed(member);
  clock.advance(100);
  expect(take()).toBe("a");
  expect(take()).toBeUndefined();
  resting.succeeded(member);
  expect([take(), take()]).toEqual(["a", "a"]);
});

test("one that is named again keeps its connections and its rest", () => {
  const { pool: kept, take } = pool();
  kept.replace([A]);
  const member = kept.take({});
  if (member === undefined) throw new Error("no backend");
  kept.failed(member);
  kept.replace([B]);
  kept.replace([A, B]);
  expect(kept.find(A)?.connections.size).toBe(1);
  expect([take(), take()]).toEqual(["b", "b"]);
});

test("one that left is forgotten with its last connection", () => {
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

test("who waits is woken by other backends, by the end of a rest and by a signal", async () => {
  const { pool: waiting, clock } = pool();
  const { signal } = new AbortController();
  const forBackends = waiting.changed(9_000, signal);
  waiting.replace([A]);
  await forBackends;
  const member = waiting.take({});
  if (member === undefined) throw new Error("no backend");
  waiting.failed(member);
  const forRest = waiting.changed(9_000, signal);
  clock.advance(100);
  await forRest;
  const abort = new AbortController();
  const forSignal = waiting.changed(9_000, abort.signal);
  abort.abort();
  await forSignal;
});
