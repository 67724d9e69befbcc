import { spawnSync } from "node:child_process";
import { mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it, test } from "vitest";
import { RemoteError } from "../../src/core/error.ts";
import type { DewyEvent } from "../../src/core/event.ts";
import { type JournalEntry, MAX_ENTRY_BYTES, parseEntry } from "../../src/journal/entry.ts";
import type { JournalFile } from "../../src/journal/file.ts";
import { Journal } from "../../src/journal/journal.ts";
import { fakeClock } from "../fakes/clock.ts";
import { ROOT, run, runtimes } from "../runtime/runtimes.ts";
import { tempDirectory } from "../support/temp_directory.ts";
import { entriesOf, journalPath } from "./entries.ts";

async function open({
  file,
  redact = (text) => text,
}: {
  file?: JournalFile;
  redact?: (text: string) => string;
} = {}) {
  const received: JournalEntry[] = [];
  const root = await tempDirectory();
  const clock = fakeClock();
  const warnings: DewyEvent[] = [];
  const emit = (event: DewyEvent): void => void warnings.push(event);
  const onEntry = (entry: JournalEntry): void => void received.push(entry);
  const options = { root, clock, emit, redact, onEntry };
  const journal = new Journal(file === undefined ? options : { ...options, file });
  return { root, clock, warnings, received, journal };
}

function deployed(tag: string): DewyEvent {
  return {
    type: "deployed",
    command: "server",
    tag,
    previousTag: undefined,
    directory: "/opt/app/releases/1",
    durationMs: 1500,
  };
}

/** A disk that can be full or hang. */
function fakeDisk() {
  const lines: string[] = [];
  const syncs: boolean[] = [];
  let attempts = 0;
  let state: "good" | "full" | "hanging" = "good";
  let unblock = (): void => {};
  const file: JournalFile = {
    append: async (batch, sync, onWritten) => {
      attempts += 1;
      for (const line of batch) {
        if (state === "hanging") await new Promise<void>((resolve) => (unblock = resolve));
        if (state === "full") throw Object.assign(new Error("ENOSPC: full"), { code: "ENOSPC" });
        lines.push(line.toString());
        onWritten(line);
      }
      syncs.push(sync);
    },
  };
  return {
    file,
    syncs,
    attempts: () => attempts,
    tags: () => lines.map((line) => parseEntry(line)?.tag ?? parseEntry(line)?.event),
    entries: () => lines.map((line) => parseEntry(line)),
    become: (next: typeof state): void => {
      state = next;
      unblock();
    },
  };
}

function messagesOf(warnings: readonly DewyEvent[]): string[] {
  return warnings.map((event) => (event.type === "warning" ? event.message : event.type));
}

const RETRY_MS = 30_000;

describe("Journal", () => {
  it("writes entries that readJournal reads, in a file that only its user can read", async () => {
    const { root, journal } = await open();
    journal.sink(deployed("v1.0.0"));
    journal.sink({ type: "superseded", tag: "v1.1.0", by: "v1.2.0" });
    await journal.close();
    expect(await entriesOf(root)).toMatchObject([
      { at: "2026-01-02T03:04:05.678Z", event: "deployed", tag: "v1.0.0", durationMs: 1500 },
      { event: "superseded", tag: "v1.1.0", by: "v1.2.0" },
    ]);
    const { mode } = await stat(journalPath(root));
    expect(mode & 0o777).toBe(0o600);
    expect(await readdir(join(root, ".dewy"))).toEqual(["journal.jsonl"]);
  });

  it("masks secrets in every text", async () => {
    const redact = (text: string): string => text.replaceAll("hunter2", "…");
    const { root, journal } = await open({ redact });
    const error = new RemoteError("Cannot fetch: hunter2 was refused", {
      method: "GET",
      url: "https://example.com",
    });
    journal.sink({
      type: "failed",
      phase: "resolve",
      tag: undefined,
      error,
      count: 1,
      retryInMs: 1,
    });
    journal.sink({
      type: "app-exited",
      tag: "v1.0.0",
      generation: 1,
      pid: 2,
      code: 1,
      signal: null,
      lastLines: ["password hunter2"],
      restartInMs: 1000,
    });
    await journal.close();
    const text = await readFile(journalPath(root), "utf8");
    expect(text).not.toContain("hunter2");
    expect(text).toContain("password …");
  });
});

describe("an entry", () => {
  it("is bounded, whatever the app prints", async () => {
    const { root, journal } = await open();
    journal.sink({
      type: "app-exited",
      tag: "v1",
      generation: 1,
      pid: 2,
      code: 1,
      signal: null,
      lastLines: Array.from({ length: 1000 }, () => "\u0000\u001b\ud800\u2028".repeat(1000)),
      restartInMs: undefined,
    });
    journal.sink({ type: "recovered", tag: "x".repeat(100_000), action: "y".repeat(100_000) });
    await journal.close();
    const text = await readFile(journalPath(root), "utf8");
    const lines = text.trimEnd().split("\n");
    expect(lines).toHaveLength(2);
    for (const line of lines) expect(Buffer.byteLength(line)).toBeLessThan(MAX_ENTRY_BYTES);
    expect(text).not.toContain("\u001b");
    expect(text).not.toContain("\u2028");
    expect(await entriesOf(root)).toMatchObject([{ tag: "v1" }, { event: "recovered" }]);
  });
});

describe("a restart of dewy", () => {
  const refused = (port: number): DewyEvent => ({
    type: "failed",
    phase: "resolve",
    tag: undefined,
    error: new RemoteError(`Cannot reach the registry at port ${port}: s3cr3t refused`, {
      method: "GET",
      url: "https://example.com",
    }),
    count: 1,
    retryInMs: undefined,
  });
  const started: DewyEvent = {
    type: "started",
    version: "0.1.0",
    command: "assets",
    registry: "ghr://owner/app",
    directory: "/opt/app",
  };

  /** As cron does with `--once`. */
  async function runs(root: string, count: number, ...events: readonly DewyEvent[]) {
    const clock = fakeClock();
    const redact = (text: string): string => text.replaceAll("s3cr3t", "…");
    for (let run = 0; run < count; run++) {
      const journal = new Journal({ root, clock, emit: () => {}, redact });
      for (const event of events) journal.sink(event);
      await journal.close();
    }
    return (await entriesOf(root)).map(({ event }) => event);
  }

  it("does not repeat a failure that lasts", async () => {
    const root = await tempDirectory();
    expect(await runs(root, 3, refused(4000), refused(4001))).toEqual(["failed"]);
    await runs(root, 1, { type: "polled", outcome: "fine", nextAt: new Date(0) });
    expect(await runs(root, 2, refused(1))).toEqual(["failed", "polled", "failed"]);
  });

  it("does not fill the journal if it happens again and again", async () => {
    const root = await tempDirectory();
    await runs(root, 1, deployed("v1"));
    const events = await runs(root, 40, started);
    expect(events.filter((event) => event === "started")).toHaveLength(20);
    expect(events[0]).toBe("deployed");
  });

  it("records a lasting failure again after a day", async () => {
    const root = await tempDirectory();
    await runs(root, 1, refused(1));
    const text = await readFile(journalPath(root), "utf8");
    await writeFile(journalPath(root), text.replaceAll('"2026-01-02T', '"2026-01-01T'));
    expect(await runs(root, 2, refused(1))).toEqual(["failed"]);
    await writeFile(journalPath(root), text.replaceAll('"2026-01-02T', '"2025-12-31T'));
    expect(await runs(root, 2, refused(1))).toEqual(["failed", "failed"]);
  });
});

test("entries are received as they are written, each with its own id", async () => {
  const { root, journal, received } = await open();
  for (const tag of ["v1", "v2"]) journal.sink(deployed(tag));
  await journal.settled();
  expect(received.map(({ tag }) => tag)).toEqual(["v1", "v2"]);
  expect(new Set(received.map(({ id }) => id)).size).toBe(2);
  await journal.close();
  expect(await entriesOf(root)).toEqual(received);
});

describe("a disk that fails", () => {
  it("keeps no entry from being received", async () => {
    const disk = fakeDisk();
    const { journal, received } = await open({ file: disk.file });
    disk.become("full");
    journal.sink(deployed("v1"));
    await journal.settled();
    expect(received).toMatchObject([{ event: "deployed", tag: "v1" }]);
  });

  it("is reported once, and again when it works; nothing is lost", async () => {
    const disk = fakeDisk();
    const { clock, journal, warnings } = await open({ file: disk.file });
    disk.become("full");
    journal.sink(deployed("v1"));
    await clock.sleeping(RETRY_MS);
    journal.sink(deployed("v2"));
    for (let failures = 2; failures < 5; failures++) {
      clock.advance(RETRY_MS);
      await expect.poll(disk.attempts).toBe(failures);
      await clock.sleeping(RETRY_MS);
    }
    expect(warnings).toMatchObject([
      { type: "warning", important: true, message: "Journal cannot be written" },
    ]);
    disk.become("good");
    clock.advance(RETRY_MS);
    await expect.poll(disk.tags).toEqual(["v1", "v2"]);
    await journal.close();
    expect(messagesOf(warnings)).toEqual([
      "Journal cannot be written",
      "Journal can be written again",
    ]);
  });

  it("makes it drop the oldest entries, but deploys last, and say how many", async () => {
    const disk = fakeDisk();
    const { clock, journal } = await open({ file: disk.file });
    disk.become("full");
    for (let number = 0; number < 10; number++) journal.sink({ type: "app-restart", signal: "x" });
    await clock.sleeping(RETRY_MS);
    for (let number = 0; number < 505; number++) journal.sink(deployed(`v${number}`));
    disk.become("good");
    clock.advance(RETRY_MS);
    await expect.poll(() => disk.tags().at(-1)).toBe("v504");
    await journal.close();
    const tags = disk.tags();
    expect(tags).toHaveLength(501);
    expect(tags.slice(0, 2)).toEqual(["gap", "v5"]);
    expect(disk.entries()[0]).toMatchObject({ event: "gap", omitted: 15 });
  });

  it("is reported to the journal as well, without an end", async () => {
    const disk = fakeDisk();
    const clock = fakeClock();
    const root = await tempDirectory();
    const emit = (event: DewyEvent): void => journal.sink(event);
    const journal: Journal = new Journal({ root, clock, emit, redact: String, file: disk.file });
    disk.become("full");
    journal.sink(deployed("v1"));
    await clock.sleeping(RETRY_MS);
    disk.become("good");
    clock.advance(RETRY_MS);
    await expect.poll(disk.tags).toEqual(["v1", "warning", "warning"]);
    await journal.close();
    expect(disk.tags()).toHaveLength(3);
  });

  it("gets a last attempt when dewy ends", async () => {
    const disk = fakeDisk();
    const { clock, journal, warnings } = await open({ file: disk.file });
    disk.become("full");
    journal.sink(deployed("v1"));
    await clock.sleeping(RETRY_MS);
    disk.become("good");
    await journal.close();
    expect(disk.tags()).toEqual(["v1"]);
    expect(messagesOf(warnings)).toHaveLength(2);
  });

  it("is reported when dewy ends with entries that could not be written", async () => {
    const disk = fakeDisk();
    const { journal, warnings } = await open({ file: disk.file });
    disk.become("full");
    journal.sink(deployed("v1"));
    await journal.close();
    expect(warnings.at(-1)).toMatchObject({
      message: "Journal entries lost",
      fields: { count: 1 },
    });
    journal.sink(deployed("v2"));
    expect(disk.tags()).toEqual([]);
  });

  it("does not keep dewy from ending if it hangs", async () => {
    const disk = fakeDisk();
    const { clock, journal, warnings } = await open({ file: disk.file });
    disk.become("hanging");
    journal.sink(deployed("v1"));
    await expect.poll(disk.attempts).toBe(1);
    const closed = journal.close(5000);
    await clock.sleeping(5000);
    clock.advance(5000);
    await closed;
    expect(messagesOf(warnings)).toEqual(["Journal entries lost"]);
    disk.become("good");
  });

  it("never blocks or fails an event: a real directory stands in its place", async () => {
    const { root, journal, warnings } = await open();
    await mkdir(journalPath(root), { recursive: true });
    journal.sink(deployed("v1"));
    await journal.close();
    expect(warnings[0]).toMatchObject({
      message: "Journal cannot be written",
      fields: { error: expect.stringContaining("it is a directory (EISDIR)") },
    });
  });
});

it("syncs deploys and commands, and nothing else", async () => {
  const disk = fakeDisk();
  const { journal } = await open({ file: disk.file });
  journal.sink({ type: "app-restart", signal: "SIGHUP" });
  await expect.poll(() => disk.syncs).toEqual([false]);
  journal.sink({ type: "ordered", command: "pause", operator: { user: "alice" } });
  await expect.poll(() => disk.syncs).toEqual([false, true]);
  await journal.close();
});

const canMount =
  process.platform === "linux" &&
  spawnSync("unshare", ["-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]).status === 0;

describe.skipIf(!canMount)("on a disk that is really full", () => {
  it.each(runtimes)("keeps its entries whole on $name", async (runtime) => {
    const root = await tempDirectory();
    const [program, ...args] = await runtime.command(join(ROOT, "test/journal/full_disk_main.ts"));
    const mounted = 'mkdir "$0/.dewy" && mount -t tmpfs -o size=64k tmpfs "$0/.dewy" && exec "$@"';
    const command = ["-rm", "sh", "-c", mounted, root, program, ...args, root];
    const { code, stdout, stderr } = await run("unshare", command);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(JSON.parse(stdout)).toEqual({
      warnings: ["Journal cannot be written", "Journal can be written again"],
      isTorn: true,
      tags: ["v1", "v2", "v3"],
    });
  });
});
