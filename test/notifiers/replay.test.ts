import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { RemoteError } from "../../mod.ts";
import type { DewyEvent } from "../../src/core/event.ts";
import { Journal } from "../../src/journal/journal.ts";
import type { NotifierDriver } from "../../src/notifiers/driver.ts";
import { type Notifications, openNotifiers } from "../../src/notifiers/open.ts";
import { plainText } from "../../src/notifiers/rich_text.ts";
import type { FakeClock } from "../fakes/clock.ts";
import { tempDirectory } from "../support/temp_directory.ts";
import { notifierContext } from "./context.ts";

const HOUR_MS = 3_600_000;

/** A working directory in which dewy starts and ends. */
interface Machine {
  root: string;
  clock: FakeClock;
  /** What arrived, with the notifier that it came from. */
  arrived: string[];
  events: DewyEvent[];
  /** Whether the services refuse everything. */
  isDown: boolean;
  start(...urls: string[]): Run;
  journal(): Promise<string>;
  /** The text of the file with the cursors. */
  cursors(): Promise<string>;
}

interface Run {
  notifications: Notifications;
  emit(event: DewyEvent): void;
  /** Ends at once when the journal is written, and delivers nothing more. */
  kill(): Promise<void>;
  stop(): Promise<void>;
}

async function machine(): Promise<Machine> {
  const root = await tempDirectory();
  const context = notifierContext();
  const { clock, events } = context;
  const start = (...urls: string[]): Run => {
    let isKilled = false;
    const driver = testDriver(self, () => isKilled);
    const notifications = openNotifiers(urls, { test: driver }, context);
    notifications.start({ name: "app", directory: root });
    const onEntry = notifications.push.bind(notifications);
    const journal = new Journal({ root, clock, emit: () => {}, redact: String, onEntry });
    return {
      notifications,
      emit: journal.sink,
      async kill() {
        isKilled = true;
        await journal.close();
      },
      async stop() {
        await journal.close();
        await notifications.close(5_000);
      },
    };
  };
  const path = join(root, ".dewy", "notified.json");
  const cursors = (): Promise<string> => readFile(path, "utf8").catch(() => "");
  const journal = (): Promise<string> => readFile(join(root, ".dewy", "journal.jsonl"), "utf8");
  const self: Machine = {
    root,
    clock,
    events,
    arrived: [],
    isDown: false,
    start,
    journal,
    cursors,
  };
  return self;
}

function testDriver(machine: Machine, isKilled: () => boolean): NotifierDriver {
  return {
    scheme: "test",
    name: "Test",
    syntax: "test://<name>",
    example: "test://a",
    options: [{ name: "quiet", type: "boolean", description: "" }],
    environment: [],
    open: ({ host }) => ({
      async send({ id, text }) {
        if (isKilled()) await new Promise(() => {});
        if (machine.isDown) throw new RemoteError("down", { status: 503 });
        expect(id).toMatch(/^[0-9a-f]{12}$/);
        machine.arrived.push(`${host}: ${plainText(text)}`);
      },
      async onActivated(directory) {
        machine.arrived.push(`${host}: went live in ${directory}`);
      },
    }),
  };
}

const downloaded = (tag: string): DewyEvent => ({
  type: "downloaded",
  tag,
  artifact: "a",
  bytes: 1,
  resumedFrom: 0,
  durationMs: 1,
});
const failed = (reason: string): DewyEvent => ({
  type: "failed",
  phase: "resolve",
  tag: undefined,
  error: new RemoteError(reason),
  count: 1,
  retryInMs: undefined,
});

test("the cursor of each notifier is kept by the hash of its URL, which may be a secret", async () => {
  const self = await machine();
  const run = self.start("test://canary-1", "test://canary-2");
  run.emit(downloaded("v1"));
  await run.stop();
  const text = await self.cursors();
  expect(text).not.toContain("canary");
  const { format, notifiers } = JSON.parse(text);
  expect(format).toBe(1);
  expect(Object.keys(notifiers)).toHaveLength(2);
  expect(Object.keys(notifiers)[0]).toMatch(/^[0-9a-f]{16}$/);
});

test("nothing is lost between an event and a kill, and nothing is repeated", async () => {
  const self = await machine();
  await self.start("test://a").stop();
  self.clock.advance(1_000);
  const first = self.start("test://a");
  first.emit(downloaded("v1"));
  await expect.poll(() => self.arrived).toHaveLength(1);
  await expect.poll(() => self.cursors()).toContain('"id"');
  self.isDown = true;
  first.emit(downloaded("v2"));
  first.emit(downloaded("v3"));
  await first.kill();
  self.isDown = false;
  self.clock.advance(2 * HOUR_MS);
  const second = self.start("test://a");
  second.emit(downloaded("v4"));
  await second.stop();
  expect(self.arrived).toEqual([
    "a: Downloaded artifact for v1",
    "a: [2026-01-02 03:04 UTC] Downloaded artifact for v2",
    "a: [2026-01-02 03:04 UTC] Downloaded artifact for v3",
    "a: Downloaded artifact for v4",
  ]);
  await self.start("test://a").stop();
  expect(self.arrived).toHaveLength(4);
});

test("what waits when dewy stops is left for the next start", async () => {
  const self = await machine();
  self.isDown = true;
  const first = self.start("test://a", "test://b");
  first.emit(downloaded("v1"));
  await first.stop();
  expect(self.events).toContainEqual(
    expect.objectContaining({
      message: "Notifications wait for the next start",
      fields: { notifier: "test://a", count: 1 },
    }),
  );
  self.isDown = false;
  await self.start("test://b").stop();
  await self.start("test://a").stop();
  expect(self.arrived).toEqual(["b: Downloaded artifact for v1", "a: Downloaded artifact for v1"]);
});

test("a new notifier starts with what happens from now on, also if dewy is killed at once", async () => {
  const self = await machine();
  const first = self.start("test://a");
  first.emit(downloaded("v1"));
  await first.stop();
  self.clock.advance(1_000);
  const second = self.start("test://b");
  const path = join(self.root, ".dewy", "notified.json");
  await expect
    .poll(async () => Object.keys(JSON.parse(await readFile(path, "utf8")).notifiers))
    .toHaveLength(2);
  self.isDown = true;
  second.emit(downloaded("v2"));
  await second.kill();
  self.isDown = false;
  await self.start("test://b").stop();
  expect(self.arrived).toEqual(["a: Downloaded artifact for v1", "b: Downloaded artifact for v2"]);
});

test("what is older than a day is given up at the next start", async () => {
  const self = await machine();
  self.isDown = true;
  const first = self.start("test://a");
  first.emit(downloaded("v1"));
  first.emit(downloaded("v2"));
  await first.stop();
  self.isDown = false;
  self.clock.advance(24 * HOUR_MS + 1);
  await self.start("test://a").stop();
  expect(self.arrived).toEqual([]);
  expect(self.events).toContainEqual({
    type: "notifications-lost",
    notifier: "test://a",
    count: 2,
    reason: "dewy did not run",
  });
});

test("what was given up is not given up again, even if dewy is killed at once", async () => {
  const self = await machine();
  self.isDown = true;
  const first = self.start("test://a");
  for (const tag of ["v1", "v2", "v3"]) first.emit(downloaded(tag));
  await first.stop();
  self.clock.advance(24 * HOUR_MS + 1);
  const second = self.start("test://a");
  const lost = (): number => self.events.filter(({ type }) => type === "notifications-lost").length;
  await expect.poll(lost, { interval: 5 }).toBe(1);
  const { id } = JSON.parse((await self.journal()).trim().split("\n").at(-1) ?? "{}");
  await expect.poll(self.cursors, { interval: 5 }).toContain(id);
  await second.kill();
  await self.start("test://a").stop();
  expect(lost()).toBe(1);
});

test("a restart repeats no failure, and keeps its silence until a success", async () => {
  const self = await machine();
  const first = self.start("test://a");
  for (const reason of ["one", "two", "three", "four"]) first.emit(failed(reason));
  await first.stop();
  expect(self.arrived).toHaveLength(3);
  self.clock.advance(HOUR_MS);
  const second = self.start("test://a");
  second.emit(failed("five"));
  second.emit({ type: "succeeded-again", after: 5 });
  second.emit(failed("six"));
  await second.stop();
  expect(self.arrived.slice(3)).toEqual([
    "a: Recovered after 1h (5 failures)",
    "a: Error occurred (count: 1): six",
  ]);
});

test("the release that is live is announced again after a restart", async () => {
  const self = await machine();
  const first = self.start("test://a");
  for (const directory of ["/r/1", "/r/2"]) first.emit({ type: "activated", tag: "v1", directory });
  await first.stop();
  expect(self.arrived).toEqual(["a: went live in /r/1", "a: went live in /r/2"]);
  await self.start("test://a").stop();
  expect(self.arrived.slice(2)).toEqual(["a: went live in /r/2"]);
});

test("what was delivered after a release went live is not repeated by a later restart", async () => {
  const self = await machine();
  const first = self.start("test://a");
  first.emit({ type: "activated", tag: "v1", directory: "/r/1" });
  first.emit(downloaded("v1"));
  await first.stop();
  self.isDown = true;
  const second = self.start("test://a");
  second.emit(downloaded("v2"));
  await second.stop();
  self.isDown = false;
  self.arrived.splice(0);
  await self.start("test://a").stop();
  expect(self.arrived).toEqual(["a: went live in /r/1", "a: Downloaded artifact for v2"]);
});

test("an entry that is read from the journal and received as well is delivered once", async () => {
  const self = await machine();
  await self.start("test://a").stop();
  const at = new Date(self.clock.now() + 1).toISOString();
  const entry = { at, event: "ordered", command: "pause", user: "al", id: "0123456789ab" };
  await writeFile(join(self.root, ".dewy", "journal.jsonl"), `${JSON.stringify(entry)}\n`);
  const run = self.start("test://a");
  run.notifications.push(entry);
  await run.stop();
  expect(self.arrived).toEqual(["a: pause was asked for by al"]);
});

test("the cursor of a notifier that was removed is forgotten after a month", async () => {
  const self = await machine();
  await self.start("test://removed").stop();
  for (const days of [30, 1]) {
    self.clock.advance(days * 24 * HOUR_MS);
    const run = self.start("test://a");
    run.emit(downloaded(`v${days}`));
    await run.stop();
    const { notifiers } = JSON.parse(await self.cursors());
    expect(Object.keys(notifiers)).toHaveLength(days === 30 ? 2 : 1);
  }
});

test("the same URL twice is one notifier", async () => {
  const self = await machine();
  const run = self.start("test://a", "test://a");
  run.emit(downloaded("v1"));
  await run.stop();
  expect(self.arrived).toEqual(["a: Downloaded artifact for v1"]);
  expect(run.notifications.status()).toHaveLength(1);
});

test("an entry that the journal has lost is found again by its time", async () => {
  const self = await machine();
  const first = self.start("test://a");
  first.emit(downloaded("v1"));
  await first.stop();
  self.isDown = true;
  self.clock.advance(1_000);
  const second = self.start("test://a");
  second.emit(downloaded("v2"));
  await second.kill();
  const journal = join(self.root, ".dewy", "journal.jsonl");
  const lines = (await readFile(journal, "utf8")).split("\n");
  await writeFile(journal, lines.slice(1).join("\n"));
  self.isDown = false;
  await self.start("test://a").stop();
  expect(self.arrived).toEqual(["a: Downloaded artifact for v1", "a: Downloaded artifact for v2"]);
});

test.each(["{", '{"format":2}', ""])("a cursor file with %j counts as empty", async (text) => {
  const self = await machine();
  await mkdir(join(self.root, ".dewy"));
  await writeFile(join(self.root, ".dewy", "notified.json"), text);
  const run = self.start("test://a");
  run.emit(downloaded("v1"));
  await run.stop();
  expect(self.arrived).toEqual(["a: Downloaded artifact for v1"]);
  expect(self.events).toMatchObject([{ message: "Delivery state unreadable" }]);
});

test("what a killed process left beside the cursor file is removed", async () => {
  const self = await machine();
  await mkdir(join(self.root, ".dewy"));
  await writeFile(join(self.root, ".dewy", "notified.json.0123456789abcdef.tmp"), "");
  await self.start("test://a").stop();
  expect(await readdir(join(self.root, ".dewy"))).toEqual(["notified.json"]);
});

test("a disk that cannot be written is reported once, and delivery goes on", async () => {
  const self = await machine();
  await writeFile(join(self.root, ".dewy"), "not a directory");
  const run = self.start("test://a");
  run.emit(downloaded("v1"));
  run.emit(downloaded("v2"));
  await expect.poll(() => self.arrived).toHaveLength(2);
  await expect.poll(() => self.events).toHaveLength(1);
  expect(self.events).toMatchObject([{ type: "warning", message: "Delivery not recorded" }]);
  await rm(join(self.root, ".dewy"));
  await run.stop();
  expect(await self.cursors()).toContain('"id"');
  expect(self.events).toHaveLength(1);
});
