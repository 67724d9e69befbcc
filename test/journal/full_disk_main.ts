// Fills the disk of a directory, and writes a journal there before and after space is freed. Run by
// test/journal/journal.test.ts.
import { open, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import type { DewyEvent } from "../../src/core/event.ts";
import { Journal } from "../../src/journal/journal.ts";
import { fakeClock } from "../fakes/clock.ts";
import { journalPath, tagsOf } from "./entries.ts";

const [root = ""] = process.argv.slice(2);
const filler = join(root, ".dewy", "filler");
const clock = fakeClock();
const warnings: string[] = [];
const journal = new Journal({
  root,
  clock,
  emit: (event) => void warnings.push(event.type === "warning" ? event.message : event.type),
  redact: String,
});

journal.sink(deployed("v1", 1000));
await until(async () => (await tagsOf(root)).length === 1);
await fillDisk();
// A part of it fits into the last block of the journal.
journal.sink(deployed("v2", 4000));
await clock.sleeping(30_000);
const isTorn = !(await readFile(journalPath(root), "utf8")).endsWith("\n");
journal.sink(deployed("v3", 10));
await rm(filler);
clock.advance(30_000);
await until(async () => (await tagsOf(root)).length === 3);
await journal.close();
console.log(JSON.stringify({ warnings, isTorn, tags: await tagsOf(root) }));

function deployed(tag: string, length: number): DewyEvent {
  const previousTag = "x".repeat(length);
  return { type: "deployed", command: "a", tag, previousTag, directory: "/d", durationMs: 1 };
}

async function fillDisk(): Promise<void> {
  const file = await open(filler, "w");
  try {
    for (;;) await file.write(Buffer.alloc(4096));
  } catch {
    // It is full.
  } finally {
    await file.close();
  }
}

async function until(isDone: () => Promise<boolean>): Promise<void> {
  while (!(await isDone())) await new Promise((resolve) => setTimeout(resolve, 5));
}
