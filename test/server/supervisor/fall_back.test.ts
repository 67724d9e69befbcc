import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { HostError } from "../../../src/core/error.ts";
import type { EventSink } from "../../../src/core/event.ts";
import { EMPTY_STATE } from "../../../src/deploy/state.ts";
import { Switches } from "../../../src/deploy/switches.ts";
import { fallBack } from "../../../src/deployers/fall_back.ts";
import { openReleaseDirectory } from "../../../src/deployers/release_directory.ts";
import type { CrashLoop } from "../../../src/deployers/runner.ts";
import { stateFile } from "../../../src/host/files/state_file.ts";
import { eventsOf } from "../../deploy/world.ts";
import { tempDirectory } from "../../support/temp_directory.ts";
import { type SupervisorWorld, until, world } from "./world.ts";

const never = new AbortController().signal;
const OLD = { tag: "v1.0.0", directory: "20260101T000000Z" };
const NEW = { tag: "v1.1.0", directory: "20260102T000000Z" };

interface CrashingWorld extends SupervisorWorld {
  live(): Promise<string | undefined>;
  bad(): Promise<string[]>;
  switches: Switches;
  /** What fails, and how often. */
  full: { saves: number; links: number };
}

/** Releases on disk, the newer one live and running, and what happens when it keeps crashing. */
async function crashing(known: readonly (typeof OLD)[]): Promise<CrashingWorld> {
  const root = await tempDirectory();
  for (const { directory } of [OLD, NEW]) {
    await mkdir(join(root, "releases", directory), { recursive: true });
  }
  const directory = await openReleaseDirectory(root);
  const store = stateFile(join(root, ".dewy", "state.json"), () => {});
  const releases = known.map((one) => ({ ...one, id: one.tag, artifact: "app", stagedAt: "" }));
  await store.update(() => ({ ...EMPTY_STATE, releases, previous: OLD.directory }));
  await directory.point(NEW.directory);
  const switches = new Switches();
  const full = { saves: 0, links: 0 };
  const { update } = store;
  store.update = async (change) => {
    if (--full.saves >= 0) throw new HostError("no space left on device");
    return update(change);
  };
  const point: typeof directory.point = async (name) => {
    if (--full.links >= 0) throw new HostError("no space left on device");
    return directory.point(name);
  };
  const end = new AbortController();
  const running: Promise<void>[] = [];
  // Before the directory is removed.
  onTestFinished(async () => {
    end.abort();
    await Promise.all(running);
  });
  const onCrashLoop = (loop: CrashLoop): void => {
    const { supervisor, clock, events } = made;
    const emit: EventSink = (event) => void events.push(event);
    const context = { store, switches, clock, emit };
    const parts = {
      directory: { ...directory, point },
      runner: supervisor,
      context,
      signal: end.signal,
    };
    running.push(fallBack(loop, parts));
  };
  const made = world({ onCrashLoop });
  await made.supervisor.ensureRunning(NEW);
  return {
    ...made,
    live: directory.live,
    switches,
    full,
    bad: async () => (await store.load()).bad.map(({ tag, reason }) => `${tag}: ${reason}`),
  };
}

it("rolls back from a crash-looping release, reports that, and marks it bad", async () => {
  const { supervisor, events, broken, generations, live, bad } = await crashing([OLD, NEW]);
  broken.add(NEW.tag);
  generations[0]?.exit({ code: 3 });
  await until(() => supervisor.release?.tag === OLD.tag);
  expect(await live()).toBe(OLD.directory);
  expect(await bad()).toEqual([expect.stringMatching(/^v1\.1\.0: it crashed 5 times in a row/)]);
  expect(eventsOf(events, "crash-loop")).toEqual([
    { type: "crash-loop", tag: "v1.1.0", crashes: 5, action: "going back to v1.0.0" },
  ]);
  expect(eventsOf(events, "rolled-back")).toMatchObject([{ tag: "v1.1.0", to: "v1.0.0" }]);
  await supervisor.stop();
});

it("says what a crash-looping release has left behind", async () => {
  const { supervisor, events, generations, bad } = await crashing([OLD, NEW]);
  for (let crashes = 0; crashes < 5; crashes += 1) {
    await until(() => eventsOf(events, "generation-ready").length > crashes);
    generations[crashes]?.hints.push("it left processes running");
    generations[crashes]?.exit({ code: 3 });
  }
  await until(() => supervisor.release?.tag === OLD.tag);
  expect(await bad()).toEqual([
    expect.stringContaining("exited with exit code 3; it left processes running"),
  ]);
  await supervisor.stop();
});

it("rolls back at once although the mark cannot be saved yet, and saves it later", async () => {
  const { supervisor, events, broken, generations, bad, full } = await crashing([OLD, NEW]);
  broken.add(NEW.tag);
  full.saves = 3;
  generations[0]?.exit({ code: 3 });
  await until(() => supervisor.release?.tag === OLD.tag);
  await until(async () => (await bad()).length === 1);
  const warnings = eventsOf(events, "warning").filter(({ message }) => /bad/.test(message));
  expect(warnings.map(({ message }) => message)).toEqual(
    Array(3).fill("Cannot remember the bad version"),
  );
  expect(warnings[0]?.fields?.error).toContain("no space left");
  const pauses = warnings.map(({ fields }) => Number(fields?.retry_in_ms));
  expect(pauses).toEqual([...pauses].sort((a, b) => a - b));
  expect(eventsOf(events, "rolled-back")).toHaveLength(1);
  await supervisor.stop();
});

it("retries a failed rollback", async () => {
  const { supervisor, events, broken, generations, live, full } = await crashing([OLD, NEW]);
  broken.add(NEW.tag);
  full.links = 2;
  generations[0]?.exit({ code: 3 });
  await until(() => supervisor.release?.tag === OLD.tag);
  expect(await live()).toBe(OLD.directory);
  const warnings = eventsOf(events, "warning").map(({ message }) => message);
  const told = warnings.filter((message) => message === "Cannot roll back to the previous version");
  expect(told).toHaveLength(2);
  expect(eventsOf(events, "rolled-back")).toHaveLength(1);
  await supervisor.stop();
});

it("does not wait for a newer version that is getting ready", async () => {
  const { supervisor, broken, generations, switches } = await crashing([OLD, NEW]);
  broken.add(NEW.tag);
  const given = switches.attempt(
    never,
    (signal) =>
      new Promise((_, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason), { once: true });
      }),
  );
  const reason = given.catch((error: unknown) => String(error));
  generations[0]?.exit({ code: 3 });
  await until(() => supervisor.release?.tag === OLD.tag);
  expect(await reason).toContain("it was given up, because v1.1.0 keeps crashing");
  await supervisor.stop();
});

it("lets a newer version get ready if there is no rollback target", async () => {
  const { broken, generations, switches, supervisor, bad } = await crashing([NEW]);
  broken.add(NEW.tag);
  let isGivenUp = false;
  void switches.attempt(never, (signal) => {
    signal.addEventListener("abort", () => {
      isGivenUp = true;
    });
    return new Promise(() => {});
  });
  generations[0]?.exit({ code: 3 });
  await until(async () => (await bad()).length === 1);
  const starts = generations.length;
  await until(() => generations.length > starts + 1);
  expect(isGivenUp).toBe(false);
  await supervisor.stop();
});

it("keeps trying, and reports that there is no rollback target, if the older release crashes as well", async () => {
  const { supervisor, events, broken, generations, live } = await crashing([OLD, NEW]);
  broken.add(NEW.tag).add(OLD.tag);
  generations[0]?.exit({ code: 3 });
  await until(() => eventsOf(events, "crash-loop").length === 2);
  const starts = generations.length;
  await until(() => generations.length > starts);
  expect(eventsOf(events, "crash-loop")[1]).toMatchObject({
    tag: "v1.0.0",
    action: expect.stringContaining("no earlier good version"),
  });
  expect(eventsOf(events, "rolled-back")).toHaveLength(1);
  expect(await live()).toBe(OLD.directory);
  await supervisor.stop();
});

it("does not roll back to a release without a record, but marks the crashing one bad", async () => {
  const { supervisor, events, broken, generations, live, bad } = await crashing([NEW]);
  broken.add(NEW.tag);
  generations[0]?.exit({ code: 3 });
  await until(() => eventsOf(events, "crash-loop").length === 1);
  expect(eventsOf(events, "rolled-back")).toEqual([]);
  await until(async () => (await bad()).length === 1);
  expect(await live()).toBe(NEW.directory);
  await supervisor.stop();
});
