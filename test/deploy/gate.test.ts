import { describe, expect, test } from "vitest";
import type { Resolution } from "../../src/core/types.ts";
import type { VersionPolicy } from "../../src/deploy/choose.ts";
import { FailedCandidates } from "../../src/deploy/failed_candidates.ts";
import { type DeployedRelease, type DeployState, EMPTY_STATE } from "../../src/deploy/state.ts";
import { pollOutcome, type TickResult, tick } from "../../src/deploy/tick.ts";
import { eventsOf, never, ready, type TestWorld, testRegistry, testWorld } from "./world.ts";

const HOUR = 3_600_000;
const AT = "2025-01-01T00:00:00.000Z";
const ALICE = { user: "alice", at: AT };
const POLICY: VersionPolicy = {
  preRelease: false,
  calver: "",
  constraint: "",
  slot: "",
  artifact: "",
  acceptChanged: [],
};

function release(tag: string): DeployedRelease {
  const artifact = { artifact: "app.tar.gz", revision: `rev-${tag}` };
  return { id: tag, tag, ...artifact, directory: `dir-${tag}`, stagedAt: AT };
}

function seenLongAgo(...tags: string[]): NonNullable<DeployState["seen"]> {
  return tags.map((tag) => ({ tag, revision: `rev-${tag}`, at: AT }));
}

function published(tag: string, agoMs: number, now: number): Resolution {
  const answer = ready(tag);
  if (answer.kind !== "ready") throw new Error("not ready");
  return { ...answer, release: { ...answer.release, createdAt: new Date(now - agoMs) } };
}

/** A machine on which `running` runs, or nothing. */
function worldOf(
  answers: readonly Resolution[],
  running: string | undefined,
  state: Partial<DeployState> = {},
): TestWorld {
  const world = testWorld(testRegistry(...answers));
  const live = running === undefined ? undefined : release(running);
  world.setState({ ...EMPTY_STATE, releases: live === undefined ? [] : [live], ...state });
  if (live !== undefined) world.directories.add(live.directory);
  world.setLive(live?.directory);
  return world;
}

function poll(world: TestWorld, policy: Partial<VersionPolicy> = {}): Promise<TickResult> {
  const { clock } = world.io;
  const failed = new FailedCandidates({ intervalMs: 10_000, clock });
  return tick({ policy: { ...POLICY, ...policy }, failed }, world.io, never());
}

const waits = (world: TestWorld): string[] =>
  eventsOf(world.events, "waiting").map(({ tag, why }) => `${tag} ${why}`);

/** What can hold back v2.0.0, while the registry also has v1.5.0. */
interface Situation {
  /** v3.0.0 was deleted from the registry. */
  running: "v1.0.0" | "v3.0.0" | undefined;
  pinned: "v2.0.0" | "v1.5.0" | undefined;
  isPaused: boolean;
  skipped: "exactly" | "with earlier ones" | undefined;
  isYoung: boolean;
  isClosed: boolean;
  noDowngrade: boolean;
}

function allSituations(): Situation[] {
  const both = [false, true];
  return (["v1.0.0", "v3.0.0", undefined] as const).flatMap((running) =>
    (["v2.0.0", "v1.5.0", undefined] as const).flatMap((pinned) =>
      both.flatMap((isPaused) =>
        (["exactly", "with earlier ones", undefined] as const).flatMap((skipped) =>
          both.flatMap((isYoung) =>
            both.flatMap((isClosed) =>
              both.map((noDowngrade) => ({
                ...{ running, pinned, isPaused, skipped, isYoung, isClosed, noDowngrade },
              })),
            ),
          ),
        ),
      ),
    ),
  );
}

/** The version that the situation lets come, in plain words. */
function expectedOf(situation: Situation): string | undefined {
  const { running, pinned, isPaused, skipped, isYoung, isClosed, noDowngrade } = situation;
  if (isPaused) return undefined;
  if (isClosed && running !== undefined) return undefined;
  if (noDowngrade && running === "v3.0.0") return undefined;
  if (pinned !== undefined && running === "v3.0.0") return undefined;
  const newest = skipped !== undefined || isYoung ? undefined : "v2.0.0";
  const older = skipped === "with earlier ones" ? undefined : "v1.5.0";
  if (pinned !== undefined) return pinned === "v2.0.0" ? newest : older;
  // dewy does not go back for youth alone: the running version stays until v2.0.0 is old enough.
  const isLater = isYoung && skipped === undefined && running === "v3.0.0";
  return newest ?? (isLater ? undefined : older);
}

/** Which reasons are reported for v2.0.0. */
function expectedWait(situation: Situation): string | undefined {
  const { running, pinned, isPaused, skipped, isYoung, isClosed, noDowngrade } = situation;
  const goesBack = running === "v3.0.0";
  if (skipped !== undefined) return "skipped";
  if (isPaused) return "paused";
  if (pinned === "v1.5.0" || (pinned === "v2.0.0" && goesBack)) return "pinned";
  if (isYoung) return "min-age";
  if (noDowngrade && goesBack) return "no-downgrade";
  return isClosed && running !== undefined ? "window" : undefined;
}

function play(situation: Situation): { world: TestWorld; result: Promise<TickResult> } {
  const { running, pinned, isPaused, skipped, isYoung } = situation;
  const world = worldOf([], running, {
    pinned: pinned && { ...ALICE, tag: pinned },
    paused: isPaused ? ALICE : undefined,
    skipped: skipped && [
      { ...ALICE, tag: "v2.0.0", andEarlier: skipped === "exactly" ? undefined : true },
    ],
    seen: seenLongAgo("v2.0.0", "v1.5.0"),
  });
  const now = world.io.clock.now();
  const { registry } = world;
  registry.answers = [
    published("v2.0.0", isYoung ? HOUR : 3 * HOUR, now),
    published("v1.5.0", 90 * HOUR, now),
    ...(running === "v1.0.0" ? [ready("v1.0.0")] : []),
  ];
  registry.gone.add("v3.0.0");
  return { world, result: poll(world, policyOf(situation)) };
}

function policyOf({ isClosed, noDowngrade }: Situation): Partial<VersionPolicy> {
  const opensAt = isClosed ? () => Date.UTC(2026, 0, 2) : () => undefined;
  return { minAgeMs: 2 * HOUR, noDowngrade, opensAt };
}

describe("all gates together", () => {
  const situations = allSituations();

  test("let exactly the version come that none of them holds back", async () => {
    expect(situations).toHaveLength(432);
    for (const situation of situations) {
      const { world, result } = play(situation);
      const { deployed, live, failure, problem } = await result;
      const tag = expectedOf(situation);
      expect(
        { situation, deployed, live, failure, problem, on: world.live()?.slice(0, 3) },
        JSON.stringify(situation),
      ).toMatchObject({
        deployed: tag !== undefined,
        live: tag ?? situation.running,
        failure: undefined,
        problem: undefined,
      });
    }
  });

  test("report why the newest version waits", async () => {
    for (const situation of situations) {
      const { world, result } = play(situation);
      const { waiting = [] } = await result;
      const reported = eventsOf(world.events, "waiting");
      const once = new Map(reported.map((event) => [event.tag, event]));
      expect(waiting).toEqual([...once.values()]);
      const why = reported.find(({ tag }) => tag === "v2.0.0")?.why;
      expect(why, JSON.stringify(situation)).toBe(expectedWait(situation));
    }
  });

  test("report the same at every poll, so that it can be logged once", async () => {
    for (const situation of situations.filter((one) => expectedOf(one) === undefined)) {
      const { world, result } = play(situation);
      await result;
      const first = eventsOf(world.events, "waiting");
      world.events.length = 0;
      await world.io.clock.sleep(1_000);
      await poll(world, policyOf(situation));
      const again = eventsOf(world.events, "waiting");
      expect(again, JSON.stringify(situation)).toEqual(first);
    }
  });
});

describe("a pin", () => {
  const pinned = { ...ALICE, message: "known to work", tag: "v1.5.0" };

  test("brings its version although the registry has newer ones", async () => {
    const world = worldOf([ready("v2.0.0"), ready("v1.5.0")], "v1.0.0", { pinned });
    expect(await poll(world)).toMatchObject({ deployed: true, live: "v1.5.0" });
    expect(eventsOf(world.events, "waiting")).toEqual([
      {
        type: "waiting",
        tag: "v2.0.0",
        why: "pinned",
        reason: 'pinned to v1.5.0 by alice: "known to work"',
      },
    ]);
  });

  test("says on its version that a newer one exists, without asking for its own again", async () => {
    const world = worldOf([ready("v2.0.0"), ready("v1.5.0")], "v1.5.0", { pinned });
    const asked: (string | undefined)[] = [];
    const { resolve } = world.registry;
    world.registry.resolve = (options) => {
      asked.push(options?.tag);
      return resolve(options);
    };
    expect(await poll(world)).toMatchObject({ deployed: false, live: "v1.5.0" });
    expect(waits(world)).toEqual(["v2.0.0 pinned"]);
    expect(asked).toEqual([undefined]);
  });

  test("goes back to its version only by a command", async () => {
    const world = worldOf([ready("v2.0.0"), ready("v1.5.0")], "v2.0.0", { pinned });
    expect(await poll(world)).toMatchObject({ deployed: false, live: "v2.0.0" });
    expect(eventsOf(world.events, "waiting")).toMatchObject([
      { tag: "v1.5.0", reason: expect.stringContaining("older than v2.0.0, which runs") },
    ]);
  });

  test("is a problem if the registry does not have its version", async () => {
    const world = worldOf([ready("v2.0.0")], "v1.0.0", { pinned });
    const { problem, deployed } = await poll(world);
    expect(deployed).toBe(false);
    expect(problem?.message).toContain('Cannot deploy the pinned version "v1.5.0"');
  });

  test("causes no problem while its version runs, although the registry has deleted it", async () => {
    const world = worldOf([ready("v1.4.0")], "v1.5.0", { pinned });
    world.registry.gone.add("v1.5.0");
    expect(await poll(world)).toMatchObject({ deployed: false, problem: undefined });
    expect(waits(world)).toEqual(["v1.4.0 pinned"]);
  });

  test("does not take another version for its own from a registry that ignores the tag", async () => {
    const world = worldOf([], "v1.0.0", { pinned });
    world.registry.resolve = async () => ready("v2.0.0");
    const { deployed, problem } = await poll(world);
    expect({ deployed, code: problem?.code }).toEqual({ deployed: false, code: "not-found" });
  });

  test("does not bring a bad version back", async () => {
    const bad = [{ tag: "v1.5.0", revision: "rev-v1.5.0", reason: "crashed", at: AT }];
    const world = worldOf([ready("v2.0.0"), ready("v1.5.0")], "v1.0.0", { pinned, bad });
    expect(await poll(world)).toMatchObject({ deployed: false });
    expect(eventsOf(world.events, "known-bad")).toMatchObject([{ tag: "v1.5.0" }]);
  });

  test("does not end a pause", async () => {
    const state = { pinned, paused: ALICE };
    const world = worldOf([ready("v2.0.0"), ready("v1.5.0")], "v1.0.0", state);
    expect(await poll(world)).toMatchObject({ deployed: false, live: "v1.0.0" });
    expect(waits(world)).toEqual(["v2.0.0 paused", "v1.5.0 paused"]);
  });

  test("judges its version once if that is the newest", async () => {
    const changed = { tag: "v1.5.0", artifact: "app.tar.gz", revision: "before" };
    const world = worldOf([ready("v1.5.0")], "v1.0.0", { pinned, known: [changed] });
    const policy = { acceptChanged: ["v1.5.0"], minAgeMs: 2 * HOUR };
    expect(await poll(world, policy)).toMatchObject({ deployed: false });
    expect(waits(world)).toEqual(["v1.5.0 min-age"]);
    expect(eventsOf(world.events, "warning")).toMatchObject([
      { message: "Artifact accepted by --accept-changed" },
    ]);
  });

  test("waits for the artifact of its version", async () => {
    const pending = { kind: "pending", tag: "v1.5.0", reason: "artifact-missing" } as const;
    const world = worldOf([ready("v2.0.0"), pending], "v1.0.0", { pinned });
    expect(await poll(world)).toMatchObject({ deployed: false, problem: undefined });
    expect(eventsOf(world.events, "pending")).toMatchObject([{ tag: "v1.5.0" }]);
  });

  test("lets another artifact of its version come", async () => {
    const world = worldOf([ready("v1.5.0", { name: "other.zip" })], "v1.5.0", { pinned });
    expect(await poll(world, { artifact: "other.zip" })).toMatchObject({ deployed: true });
  });
});

describe("a skip", () => {
  test("leaves the running version alone, and lets a newer one come", async () => {
    const skipped = [{ ...ALICE, tag: "v1.2.0", andEarlier: true } as const];
    const world = worldOf([ready("v1.2.0"), ready("v1.1.0")], "v1.1.0", { skipped });
    expect(await poll(world)).toMatchObject({ deployed: false, live: "v1.1.0" });
    expect(eventsOf(world.events, "waiting")).toEqual([
      {
        type: "waiting",
        tag: "v1.2.0",
        why: "skipped",
        reason: "skipped by alice",
      },
    ]);
    world.registry.answers = [ready("v1.2.1"), ready("v1.2.0"), ready("v1.1.0")];
    expect(await poll(world)).toMatchObject({ deployed: true, live: "v1.2.1" });
  });

  test("of everything up to a version does not list each of them", async () => {
    const skipped = [{ ...ALICE, tag: "v1.9.0", andEarlier: true } as const];
    const answers = [9, 8, 7, 6, 5, 4, 3, 2, 1].map((minor) => ready(`v1.${minor}.0`));
    const world = worldOf(answers, "v1.7.5", { skipped });
    world.registry.gone.add("v1.7.5");
    expect(await poll(world)).toMatchObject({ deployed: false, live: "v1.7.5" });
    expect(waits(world)).toEqual(["v1.9.0 skipped", "v1.8.0 skipped", "v1.7.0 skipped"]);
  });

  test("lets another artifact of the running version come", async () => {
    const skipped = [{ ...ALICE, tag: "v1.0.0" }];
    const world = worldOf([ready("v1.0.0", { name: "other.zip" })], "v1.0.0", { skipped });
    expect(await poll(world, { artifact: "other.zip" })).toMatchObject({ deployed: true });
  });

  test("does not end the search of a registry with an order of its own", async () => {
    const skipped = [{ ...ALICE, tag: "v1.2.0", andEarlier: true } as const];
    const world = worldOf([ready("v1.2.0"), ready("v2.0.0")], undefined, { skipped });
    delete world.registry.exists;
    expect(await poll(world)).toMatchObject({ deployed: true, live: "v2.0.0" });
  });

  test("also holds for a registry that chooses by its own rules", async () => {
    const skipped = [{ ...ALICE, tag: "v1.2.0", andEarlier: true } as const];
    const world = worldOf([], "v1.1.0", { skipped });
    delete world.registry.exists;
    world.registry.resolve = async () => ready("v1.2.0");
    expect(await poll(world)).toMatchObject({ deployed: false, live: "v1.1.0" });
    expect(waits(world)).toEqual(["v1.2.0 skipped", "v1.2.0 skipped"]);
  });
});

describe("--no-downgrade", () => {
  test.each([
    [
      "a registry that answers an older tag",
      (world: TestWorld) => void delete world.registry.exists,
      {},
    ],
    ["a deleted release", (world: TestWorld) => void world.registry.gone.add("v2.0.0"), {}],
    ["changed options", () => {}, { constraint: "^1" }],
  ])("holds against %s", async (_, change, policy) => {
    const world = worldOf([ready("v1.0.0")], "v2.0.0");
    change(world);
    expect(await poll(world, { ...policy, noDowngrade: true })).toMatchObject({ deployed: false });
    expect(eventsOf(world.events, "waiting")).toMatchObject([
      {
        tag: "v1.0.0",
        why: "no-downgrade",
        reason:
          "older than v2.0.0, the highest version deployed here; only dewy deploy v1.0.0 goes back to it",
      },
    ]);
    expect(await poll(world, policy)).toMatchObject({ deployed: true, live: "v1.0.0" });
  });

  test("holds nothing back that is newer, or of which that is not known", async () => {
    const world = worldOf([ready("v2.0.0")], "v1.0.0");
    expect(await poll(world, { noDowngrade: true })).toMatchObject({ live: "v2.0.0" });
    delete world.registry.exists;
    const answer = ready("v9.9.9", { revision: "nightly" });
    if (answer.kind !== "ready") throw new Error("not ready");
    world.registry.answers = [{ ...answer, release: { ...answer.release, tag: "nightly" } }];
    expect(await poll(world, { noDowngrade: true })).toMatchObject({ live: "nightly" });
  });
});

describe("a minimum age", () => {
  const minAgeMs = 2 * HOUR;

  test("counts from the first sight if that is later than the publication", async () => {
    const world = worldOf([], "v1.0.0");
    const now = world.io.clock.now();
    world.registry.answers = [published("v2.0.0", 90 * HOUR, now)];
    const first = await poll(world, { minAgeMs });
    expect(first).toMatchObject({ deployed: false });
    expect(first.waiting).toEqual([
      {
        type: "waiting",
        tag: "v2.0.0",
        why: "min-age",
        reason: "first seen 2026-01-01T00:00:00.000Z, --min-age is 2h0m0s",
        until: new Date(now + minAgeMs),
      },
    ]);
    await world.io.clock.sleep(minAgeMs - 1);
    expect(await poll(world, { minAgeMs })).toMatchObject({ deployed: false });
    await world.io.clock.sleep(1);
    expect(await poll(world, { minAgeMs })).toMatchObject({ deployed: true, live: "v2.0.0" });
  });

  test("counts from now if the clock was put back since the first sight", async () => {
    const seen = [{ tag: "v2.0.0", revision: "rev-v2.0.0", at: "2031-01-01T00:00:00.000Z" }];
    const world = worldOf([ready("v2.0.0")], "v1.0.0", { seen });
    const { waiting } = await poll(world, { minAgeMs });
    expect(waiting?.[0]?.until).toEqual(new Date(world.io.clock.now() + minAgeMs));
    expect(world.state().seen).toMatchObject([{ at: "2026-01-01T00:00:00.000Z" }]);
  });

  test("does not count from an invalid date", async () => {
    const world = worldOf([published("v2.0.0", Number.NaN, 0)], "v1.0.0");
    expect((await poll(world, { minAgeMs })).waiting?.[0]?.reason).toMatch(/^first seen 2026-/);
  });

  test("counts again for other bytes of the tag", async () => {
    const seen = [{ tag: "v2.0.0", digest: "sha256:aa", at: AT }];
    const world = worldOf([ready("v2.0.0", { digest: "sha256:bb" })], "v1.0.0", { seen });
    expect(await poll(world, { minAgeMs })).toMatchObject({ deployed: false });
    expect(waits(world)).toEqual(["v2.0.0 min-age"]);
    world.registry.answers = [ready("v2.0.0", { digest: "sha256:aa" })];
    expect(await poll(world, { minAgeMs })).toMatchObject({ deployed: true });
  });

  test("does not count for the running version", async () => {
    const world = worldOf([ready("v1.0.0")], "v1.0.0");
    expect(await poll(world, { minAgeMs })).toEqual({ deployed: false, live: "v1.0.0" });
    expect(world.state().seen).toBeUndefined();
  });

  test("counts from the publication alone while nothing runs, and without one not at all", async () => {
    const world = worldOf([], undefined);
    const now = world.io.clock.now();
    world.registry.answers = [published("v2.0.0", HOUR, now)];
    expect(await poll(world, { minAgeMs })).toMatchObject({ deployed: false });
    world.registry.answers = [ready("v2.1.0"), published("v2.0.0", HOUR, now)];
    expect(await poll(world, { minAgeMs })).toMatchObject({ deployed: true, live: "v2.1.0" });
  });

  test("is not a reason to go back to an older version", async () => {
    for (const hasExists of [true, false]) {
      const world = worldOf([ready("v2.0.0"), ready("v1.0.0")], "v1.5.0");
      world.registry.gone.add("v1.5.0");
      if (!hasExists) delete world.registry.exists;
      const seen = seenLongAgo("v1.0.0");
      world.setState({ ...world.state(), seen });
      expect(await poll(world, { minAgeMs })).toMatchObject({ deployed: false, live: "v1.5.0" });
    }
  });

  test("ends on time: the next poll is due when the first wait ends", async () => {
    const world = worldOf([ready("v2.0.0")], "v1.0.0");
    const until = world.io.clock.now() + minAgeMs;
    const dueAt = (retryAt: number) => ({ kind: "fine", retryAt, isHolding: true });
    expect(pollOutcome(await poll(world, { minAgeMs }))).toEqual(dueAt(until));
    await world.io.clock.sleep(HOUR);
    world.registry.answers = [ready("v2.1.0"), ready("v2.0.0")];
    const later = await poll(world, { minAgeMs });
    expect(later.waiting?.map((one) => one.tag)).toEqual(["v2.1.0", "v2.0.0"]);
    expect(pollOutcome(later)).toEqual(dueAt(until));
  });
});

describe("a closed window", () => {
  const opensAt = (now: number) => now + HOUR;

  test("does not hold back a first deploy, nor the fix of a version that is bad", async () => {
    const first = worldOf([ready("v1.0.0")], undefined);
    expect(await poll(first, { opensAt })).toMatchObject({ deployed: true });
    const bad = [{ tag: "v1.0.0", revision: "rev-v1.0.0", reason: "crashed", at: AT }];
    const down = worldOf([ready("v1.0.1"), ready("v1.0.0")], "v1.0.0", { bad });
    expect(await poll(down, { opensAt })).toMatchObject({ deployed: true, live: "v1.0.1" });
  });

  test("stages nothing", async () => {
    const world = worldOf([ready("v2.0.0")], "v1.0.0");
    expect(await poll(world, { opensAt })).toMatchObject({ deployed: false });
    expect(world.steps).toEqual([]);
    expect(eventsOf(world.events, "waiting")).toMatchObject([
      { tag: "v2.0.0", why: "window", until: new Date(opensAt(world.io.clock.now())) },
    ]);
  });
});

test("a wait does not hide that the newest version cannot be deployed", async () => {
  const message = "no artifact fits";
  const missing = { kind: "none", reason: "artifact-missing", tag: "v2.0.0", message } as const;
  const world = worldOf([missing, ready("v1.0.0")], undefined, { paused: ALICE });
  const { deployed, problem } = await poll(world);
  expect({ deployed, message: problem?.message }).toEqual({ deployed: false, message });
  expect(waits(world)).toEqual(["v1.0.0 paused"]);
});

test("nothing is staged while an order is carried out", async () => {
  const order = { ...ALICE, kind: "deploy", id: "1", tag: "v1.5.0" } as const;
  const world = worldOf([ready("v2.0.0")], "v1.0.0", { order });
  expect(await poll(world)).toMatchObject({ deployed: false, live: "v1.0.0" });
  expect(world.steps).toEqual([]);
});
