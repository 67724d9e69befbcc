import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { RemoteError } from "../../src/core/error.ts";
import type { DewyEvent } from "../../src/core/event.ts";
import type { JournalEntry } from "../../src/journal/entry.ts";
import type { JournalFile } from "../../src/journal/file.ts";
import { Journal } from "../../src/journal/journal.ts";
import { readJournal } from "../../src/journal/read.ts";
import { fakeClock } from "../fakes/clock.ts";
import { tempDirectory } from "../support/temp_directory.ts";

async function entriesOf(root: string): Promise<JournalEntry[]> {
  const entries: JournalEntry[] = [];
  for await (const entry of readJournal(root)) entries.push(entry);
  return entries;
}

async function open({
  file,
  redact = String,
}: {
  file?: JournalFile;
  redact?: typeof String;
} = {}) {
  const root = await tempDirectory();
  const clock = fakeClock();
  const warnings: DewyEvent[] = [];
  const emit = (event: DewyEvent): void => void warnings.push(event);
  const options = { root, clock, emit, redact };
  const journal = new Journal(file === undefined ? options : { ...options, file });
  return { root, clock, warnings, journal };
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
    const { mode } = await stat(join(root, ".dewy", "journal.jsonl"));
    expect(mode & 0o777).toBe(0o600);
    expect(await readdir(join(root, ".dewy"))).toEqual(["journal.jsonl"]);
  });

  it("masks secrets in every text", async () => {
    const redact = ((text: string) => text.replaceAll("hunter2", "…")) as typeof String;
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
    const text = await readFile(join(root, ".dewy", "journal.jsonl"), "utf8");
    expect(text).not.toContain("hunter2");
    expect(text).toContain("password …");
  });
});
