import { describe, expect, test } from "vitest";
import type { VersionPolicy } from "../../src/deploy/choose.ts";
import { FailedCandidates } from "../../src/deploy/failed_candidates.ts";
import { hashOf, type Listing, staleSince } from "../../src/deploy/listing.ts";
import { tick } from "../../src/deploy/tick.ts";
import {
  eventsOf,
  never,
  nothing,
  ready,
  type TestWorld,
  testRegistry,
  testWorld,
} from "./world.ts";

const DAY = 86_400_000;
const START = "2026-01-01T00:00:00.000Z";
const POLICY: VersionPolicy = {
  ...{ preRelease: false, calver: "", constraint: "", slot: "", artifact: "", acceptChanged: [] },
};

/** A machine that polls a registry with these tags. */
function worldOf(...tags: string[]): TestWorld & { list(...tags: string[]): void } {
  const world = testWorld(testRegistry(ready("v1.0.0")));
  const { resolve } = world.registry;
  let listed = tags;
  world.registry.resolve = (options) => {
    for (const tag of listed) options?.onTag?.(tag);
    return resolve(options);
  };
  return Object.assign(world, {
    list: (...next: string[]) => {
      listed = next;
    },
  });
}

async function poll({ io }: TestWorld, policy: Partial<VersionPolicy> = {}): Promise<void> {
  const failed = new FailedCandidates({ intervalMs: 10_000, clock: io.clock });
  await tick({ policy: { ...POLICY, ...policy }, failed }, io, never());
}

describe("the time of the last change of the listing", () => {
  test("is that of the first poll, and stays while nothing changes", async () => {
    const world = worldOf("v1.0.0", "v0.9.0");
    await poll(world);
    await world.io.clock.sleep(DAY);
    world.list("v0.9.0", "v1.0.0", "v1.0.0");
    await poll(world);
    expect(world.state().listing?.changedAt).toBe(START);
  });

  test.each([
    ["a tag is added", (world: ReturnType<typeof worldOf>) => world.list("v1.0.0", "v0.9.0", "x")],
    ["a tag is removed", (world: ReturnType<typeof worldOf>) => world.list("v1.0.0")],
    [
      "the newest version has other bytes",
      (world: ReturnType<typeof worldOf>) => {
        world.registry.answers = [ready("v1.0.0", { revision: "other" })];
      },
    ],
    [
      "there is no version any more",
      (world: ReturnType<typeof worldOf>) => {
        world.registry.answers = [nothing()];
      },
    ],
  ])("moves if %s", async (_, change) => {
    const world = worldOf("v1.0.0", "v0.9.0");
    await poll(world);
    await world.io.clock.sleep(DAY);
    change(world);
    await poll(world);
    expect(world.state().listing?.changedAt).toBe("2026-01-02T00:00:00.000Z");
  });

  test("is that of the answer if the registry does not list its tags", async () => {
    const world = testWorld(testRegistry(ready("v1.0.0")));
    await poll(world);
    await world.io.clock.sleep(DAY);
    world.registry.answers = [ready("v1.1.0")];
    await poll(world);
    expect(world.state().listing?.changedAt).toBe("2026-01-02T00:00:00.000Z");
  });

  test("starts again if the clock was put back", async () => {
    const world = worldOf("v1.0.0");
    await poll(world);
    const { hash = "" } = world.state().listing ?? {};
    world.setState({ ...world.state(), listing: { hash, changedAt: "2031-01-01T00:00:00.000Z" } });
    await poll(world);
    expect(world.state().listing?.changedAt).toBe(START);
  });

  test("costs no write of the state while nothing changes", async () => {
    const world = worldOf("v1.0.0");
    await poll(world);
    const before = world.state();
    await poll(world);
    expect(world.state()).toBe(before);
  });

  test("is not touched by a poll that fails", async () => {
    const world = worldOf("v1.0.0");
    await poll(world);
    world.registry.resolve = async () => {
      throw new Error("unreachable");
    };
    await world.io.clock.sleep(DAY);
    await expect(poll(world)).rejects.toThrow("unreachable");
    expect(world.state().listing?.changedAt).toBe(START);
  });
});

describe("--max-staleness", () => {
  test("reports a listing that has not changed for longer", async () => {
    const world = worldOf("v1.0.0");
    const policy = { maxStalenessMs: DAY };
    await poll(world, policy);
    await world.io.clock.sleep(DAY);
    await poll(world, policy);
    expect(eventsOf(world.events, "listing-stale")).toEqual([]);
    await world.io.clock.sleep(1);
    await poll(world, policy);
    expect(eventsOf(world.events, "listing-stale")).toEqual([
      { type: "listing-stale", since: new Date(START), maxMs: DAY },
    ]);
    world.list("v1.0.0", "v1.0.1");
    world.events.length = 0;
    await poll(world, policy);
    expect(eventsOf(world.events, "listing-stale")).toEqual([]);
  });

  test("is off by default", () => {
    expect(
      staleSince({ listing: { hash: "", changedAt: START } }, undefined, 2e13),
    ).toBeUndefined();
  });
});

test("listings have the same hash if they differ only in their order", () => {
  const listing = (...tags: string[]): Listing => ({ tags: new Set(tags), newest: nothing() });
  expect(hashOf(listing("a", "b"))).toBe(hashOf(listing("b", "a")));
  expect(hashOf(listing("a", "b"))).not.toBe(hashOf(listing("ab")));
});
