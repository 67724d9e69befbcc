import { expect, test } from "vitest";
import { IntegrityError, RemoteError } from "../../src/core/error.ts";
import {
  listMembers,
  memberKey,
  readMember,
  readRollout,
  rolloutKey,
  rolloutOf,
  swapRollout,
} from "../../src/fleet/records.ts";
import { abortRollout, beginRollout } from "../../src/fleet/rollout.ts";
import type { Rollout } from "../../src/fleet/types.ts";
import { fakeClock } from "../fakes/clock.ts";
import { memoryCache, unreachable } from "../fakes/memory_cache.ts";

const PLAN = { registry: "ghr://acme/shop", tag: "v2.0.0", waves: [{ hosts: 1 }], maxFailures: 0 };
const MINUTE = 60_000;

function begin(): Rollout {
  return beginRollout(PLAN, ["web1", "web2"], undefined, "v1.0.0");
}

function opened() {
  const clock = fakeClock({ skipUpTo: MINUTE });
  const store = memoryCache({ now: clock.now });
  const options = { writer: "web1", clock, random: () => 0.5 };
  return { clock, store, at: { store, fleet: "shop" }, options };
}

test("a rollout that is written can be read", async () => {
  const { at, options } = opened();
  const swap = await swapRollout(at, begin, options);
  expect((await readRollout(at))?.record).toEqual(JSON.parse(JSON.stringify(swap?.after)));
});

test("each write has a higher revision, and names its writer", async () => {
  const { at, options } = opened();
  await swapRollout(at, begin, options);
  const next = (now: Rollout | undefined): Rollout | undefined => now && { ...now, next: "v3.0.0" };
  const swap = await swapRollout(at, next, { ...options, writer: "web2" });
  expect(swap?.after).toMatchObject({ revision: 2, writer: "web2" });
});

test("a change of nothing is not written", async () => {
  const { at, options, store } = opened();
  await swapRollout(at, begin, options);
  expect(await swapRollout(at, (now) => now, options)).toBeUndefined();
  expect(store.count("write")).toBe(1);
});

test("a write that was rejected before it happened is tried again", async () => {
  const { at, options, store } = opened();
  let failures = 2;
  store.options.before = (call) => {
    if (call === "write" && failures-- > 0) unreachable();
  };
  expect((await swapRollout(at, begin, options))?.after.tag).toBe("v2.0.0");
});

test("a store that stays down is given up, after pauses that grow", async () => {
  const { at, options, store, clock } = opened();
  store.options.before = unreachable;
  await expect(swapRollout(at, begin, options)).rejects.toThrow(RemoteError);
  expect(clock.slept).toEqual([...clock.slept].sort((a, b) => a - b));
  expect(clock.slept.length).toBeGreaterThan(3);
});

test("conflicts without end are given up until the next poll", async () => {
  const { at, options, store } = opened();
  let version = 0;
  store.options.before = (call, key) => {
    const entry = store.objects.get(key);
    version += 1;
    if (call === "write" && entry) store.objects.set(key, { ...entry, version: `v${version}` });
  };
  await swapRollout(at, begin, options);
  const change = (now: Rollout | undefined): Rollout | undefined => now && { ...now, wave: 1 };
  expect(await swapRollout(at, change, options)).toBeUndefined();
});

test.each(["{", "[]", '{"tag":"v1"}', "x".repeat(5 << 20)])(
  "an unreadable rollout is not replaced, except on demand",
  async (text) => {
    const { at, options, store } = opened();
    await store.write(rolloutKey("shop"), text);
    await expect(swapRollout(at, begin, options)).rejects.toThrow(IntegrityError);
    expect(() => rolloutOf({ record: undefined, version: "1", ageMs: 0 }, at)).toThrow(
      "Cannot read fleet/shop/rollout.json in memory://cache: it is not a rollout; dewy fleet abort replaces it",
    );
    const aborted = (): Rollout => abortRollout(begin(), "by alice");
    await swapRollout(at, aborted, { ...options, replaces: true });
    expect((await readRollout(at))?.record?.state).toBe("aborted");
  },
);

test.each(["{", "x".repeat(100_000)])("an unreadable member has no record", async (text) => {
  const { at, store } = opened();
  await store.write(memberKey("shop", "web1"), text);
  expect(await readMember(at, "web1")).toMatchObject({ record: undefined });
});

test("members are as silent as their records are older than the newest object", async () => {
  const { at, store, clock, options } = opened();
  await store.write(memberKey("shop", "web1"), "{}");
  clock.advance(11 * MINUTE);
  await store.write(memberKey("shop", "a/b c"), "{}");
  await store.write("fleet/other/members/web3.json", "{}");
  await swapRollout(at, begin, options);
  const members = await listMembers(at, 10 * MINUTE);
  expect([...members.keys()].sort()).toEqual(["a/b c", "web1"]);
  expect(members.get("web1")).toEqual({ isAlive: false, silentMs: 11 * MINUTE });
  expect(members.get("a/b c")?.isAlive).toBe(true);
});
