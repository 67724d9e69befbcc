import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { EMPTY_STATE } from "../../../src/deploy/state.ts";
import { fallBack } from "../../../src/deployers/fall_back.ts";
import { openReleaseDirectory } from "../../../src/deployers/release_directory.ts";
import type { CrashLoop } from "../../../src/deployers/runner.ts";
import { stateFile } from "../../../src/host/state_file.ts";
import { eventsOf } from "../../deploy/world.ts";
import { tempDirectory } from "../../host/temp_directory.ts";
import { type SupervisorWorld, until, world } from "./supervisor_world.ts";

const OLD = { tag: "v1.0.0", directory: "20260101T000000Z" };
const NEW = { tag: "v1.1.0", directory: "20260102T000000Z" };

/** Releases on disk, the newer one live and running, and what happens when it keeps crashing. */
async function crashing(
  known: readonly (typeof OLD)[],
): Promise<SupervisorWorld & { live(): Promise<string | undefined>; bad(): Promise<string[]> }> {
  const root = await tempDirectory();
  for (const { directory } of [OLD, NEW]) {
    await mkdir(join(root, "releases", directory), { recursive: true });
  }
  const directory = await openReleaseDirectory(root);
  const store = stateFile(join(root, ".dewy", "state.json"), () => {});
  const releases = known.map((one) => ({ ...one, id: one.tag, artifact: "app", stagedAt: "" }));
  await store.save({ ...EMPTY_STATE, releases, previous: OLD.directory });
  await directory.point(NEW.directory);
  const onCrashLoop = (loop: CrashLoop): void => {
    const { supervisor, clock, events } = made;
    const io = { store, clock, emit: (event: (typeof events)[number]) => void events.push(event) };
    void fallBack(loop, { directory, runner: supervisor, io });
  };
  const made = world({ onCrashLoop });
  await made.supervisor.insist(NEW);
  return {
    ...made,
    live: directory.live,
    bad: async () => (await store.load()).bad.map(({ tag, reason }) => `${tag}: ${reason}`),
  };
}

it("goes back to the release before one that keeps crashing, says so, and remembers it as bad", async () => {
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

it("keeps trying, and says that there is no way back, when the older one crashes as well", async () => {
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

it("does not leave a release for one that it does not know", async () => {
  const { supervisor, events, broken, generations, live, bad } = await crashing([NEW]);
  broken.add(NEW.tag);
  generations[0]?.exit({ code: 3 });
  await until(() => eventsOf(events, "crash-loop").length === 1);
  expect(eventsOf(events, "rolled-back")).toEqual([]);
  expect(await bad()).toEqual([]);
  expect(await live()).toBe(NEW.directory);
  await supervisor.stop();
});
