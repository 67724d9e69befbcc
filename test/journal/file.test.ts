import { execFileSync } from "node:child_process";
import {
  appendFile,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { entryLine, MAX_ENTRY_BYTES } from "../../src/journal/entry.ts";
import { journalFile } from "../../src/journal/file.ts";
import { readJournal } from "../../src/journal/read.ts";
import { ROOT, run, runtimes } from "../runtime/runtimes.ts";
import { tempDirectory } from "../support/temp_directory.ts";
import { append, cut, entriesOf, entry, journalPath, tagsOf } from "./entries.ts";

describe("a torn journal", () => {
  it("has exactly its complete entries, wherever it was cut, and can be written again", async () => {
    const root = await tempDirectory();
    const tags = ["v1.0.0", "v1.1.0-é", "v1.2.0"];
    await append(root, ...tags);
    const path = journalPath(root);
    const whole = await readFile(path);
    const ends = tags.map((_, count) => {
      return tags.slice(0, count + 1).reduce((sum, tag) => sum + entryLine(entry(tag)).length, 0);
    });
    for (let length = 0; length <= whole.length; length++) {
      await cut(path, whole, length);
      // An entry is complete even without its newline.
      const complete = tags.filter((_, index) => length >= (ends[index] ?? 0) - 1);
      expect(await tagsOf(root), `cut at ${length}`).toEqual(complete);
      await append(root, "v2.0.0");
      expect(await tagsOf(root), `healed at ${length}`).toEqual([...complete, "v2.0.0"]);
    }
  });

  it("loses nothing but torn entries after any number of crashes", async () => {
    const crash = fc.record({
      entries: fc.integer({ min: 1, max: 3 }),
      lost: fc.nat({ max: 150 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(crash, { minLength: 1, maxLength: 6 }), async (crashes) => {
        const root = await tempDirectory();
        let number = 0;
        let expected: string[] = [];
        for (const { entries, lost } of crashes) {
          const tags = Array.from({ length: entries }, () => `v${++number}`);
          await append(root, ...tags);
          const whole = await readFile(journalPath(root));
          // A crash tears only what was not synced: the last entry.
          const size = entryLine(entry(tags.at(-1) ?? "")).length;
          const torn = Math.min(lost, size);
          await cut(journalPath(root), whole, whole.length - torn);
          expected = [...expected, ...(torn > 1 ? tags.slice(0, -1) : tags)];
        }
        expect(await tagsOf(root)).toEqual(expected);
      }),
      { numRuns: 50 },
    );
  });

  it.each([
    ["a file of zeros, as some file systems leave it", Buffer.alloc(5000)],
    ["lines of other programs", Buffer.from('hello\n{"at":"yesterday","event":"x"}\n[]\n"a"\n\n')],
    ["invalid UTF-8", Buffer.from([0xff, 0xfe, 0x7b, 0x0a])],
    ["a line that is too long", Buffer.from(`{"a":"${"x".repeat(3 * MAX_ENTRY_BYTES)}"}\n`)],
    ["a line that never ends", Buffer.alloc(3 * MAX_ENTRY_BYTES, "x")],
  ])("skips %s", async (_, garbage) => {
    const root = await tempDirectory();
    await append(root, "v1");
    await appendFile(journalPath(root), garbage);
    await append(root, "v2");
    expect(await tagsOf(root)).toEqual(["v1", "v2"]);
  });
});

describe("the rotation", () => {
  const MAX = 1000;

  it("keeps four bounded files, without a gap between the entries", async () => {
    const root = await tempDirectory();
    const file = journalFile(root, MAX);
    const tags = Array.from({ length: 120 }, (_, number) => `v1.${number}.0`);
    for (const tag of tags) await append(file, tag);
    const names = (await readdir(join(root, ".dewy"))).sort();
    expect(names).toEqual([
      "journal.1.jsonl",
      "journal.2.jsonl",
      "journal.3.jsonl",
      "journal.jsonl",
    ]);
    for (const name of names) {
      const { size, mode } = await stat(join(root, ".dewy", name));
      expect(size).toBeLessThanOrEqual(MAX);
      expect(mode & 0o777).toBe(0o600);
    }
    const found = await tagsOf(root);
    expect(found.length).toBeGreaterThan(30);
    expect(found).toEqual(tags.slice(-found.length));
  });

  it("goes on after a crash between two renames", async () => {
    const root = await tempDirectory();
    const file = journalFile(root, MAX);
    for (let number = 0; number < 40; number++) await append(file, `v${number}`);
    await rename(journalPath(root, 1), journalPath(root, 2));
    const before = await tagsOf(root);
    await append(file, "v40");
    expect(await tagsOf(root)).toEqual([...before, "v40"]);
  });

  it("writes lines that are longer than a file", async () => {
    const root = await tempDirectory();
    const file = journalFile(root, 10);
    await append(file, "v1", "v2", "v3");
    expect(await tagsOf(root)).toEqual(["v1", "v2", "v3"]);
  });

  it("hides nothing from readers and shows nothing twice", async () => {
    const root = await tempDirectory();
    const file = journalFile(root, MAX);
    let last = -1;
    const write = async (): Promise<void> => {
      for (let number = 0; number < 200; number++) {
        await append(file, String(number));
        last = number;
      }
    };
    let reads = 0;
    const read = async (): Promise<void> => {
      while (last < 199) {
        const newestBefore = last;
        const numbers = (await tagsOf(root)).map(Number);
        const [first = 0] = numbers;
        expect(numbers).toEqual(numbers.map((_, index) => first + index));
        if (newestBefore >= 0) expect(numbers.at(-1)).toBeGreaterThanOrEqual(newestBefore);
        reads += 1;
      }
    };
    await Promise.all([write(), read(), read()]);
    expect(reads).toBeGreaterThan(10);
  });

  it("does not end a reader that is in the middle of a file", async () => {
    const root = await tempDirectory();
    const file = journalFile(root, MAX);
    for (let number = 0; number < 30; number++) await append(file, String(number));
    const before = await tagsOf(root);
    const found: (string | undefined)[] = [];
    for await (const { tag } of readJournal(root)) {
      found.push(tag);
      if (found.length === 3) for (let more = 0; more < 100; more++) await append(file, "later");
    }
    expect(found.filter((tag) => tag !== "later")).toEqual(before);
  });
});

describe("two writers by mistake", () => {
  it.each(runtimes)("keep each other's lines whole during rotations on $name", async (runtime) => {
    const root = await tempDirectory();
    const [program, ...args] = await runtime.command(join(ROOT, "test/journal/append_main.ts"));
    const count = 300;
    const outputs = await Promise.all(
      ["a", "b"].map((name) => run(program, [...args, root, name, String(count), "20000"])),
    );
    expect(outputs).toEqual(outputs.map(() => ({ code: 0, stdout: "", stderr: "" })));
    const texts = await Promise.all(
      [undefined, 1, 2, 3].map((rotation) =>
        readFile(journalPath(root, rotation), "utf8").catch(() => ""),
      ),
    );
    const found = await tagsOf(root);
    // An empty line is harmless: a file system may show a line of the other writer before it is complete.
    expect(found).toHaveLength(texts.join("").match(/^.+$/gm)?.length ?? 0);
    for (const name of ["a", "b"]) {
      const own = found.filter((tag) => tag?.startsWith(name));
      const numbers = own.map((tag) => Number(tag?.slice(1)));
      expect(numbers).toEqual([...numbers].sort((one, other) => one - other));
      expect(numbers.at(-1)).toBe(count - 1);
    }
  });
});

describe("foreign things in place of the journal", () => {
  it("does not follow a symbolic link, neither to write nor to read", async () => {
    const root = await tempDirectory();
    const victim = join(root, "victim");
    await mkdir(join(root, ".dewy"));
    await writeFile(victim, entryLine(entry("v1")));
    await symlink(victim, journalPath(root));
    await expect(append(root, "v2")).rejects.toThrow("a symbolic link; remove it");
    expect(await readFile(victim)).toEqual(entryLine(entry("v1")));
    expect(await entriesOf(root)).toEqual([]);
  });

  it("does not wait for a FIFO, and does not write into a directory", async () => {
    const root = await tempDirectory();
    await mkdir(join(root, ".dewy"));
    execFileSync("mkfifo", [journalPath(root)]);
    await expect(append(root, "v1")).rejects.toThrow("not a regular file; remove it");
    expect(await entriesOf(root)).toEqual([]);
    await rm(journalPath(root));
    await mkdir(journalPath(root));
    await expect(append(root, "v1")).rejects.toThrow("it is a directory");
    expect(await entriesOf(root)).toEqual([]);
  });

  it("starts again after the operator has removed it", async () => {
    const root = await tempDirectory();
    const file = journalFile(root);
    await append(file, "v1");
    await rm(join(root, ".dewy"), { recursive: true });
    expect(await entriesOf(root)).toEqual([]);
    await append(file, "v2");
    expect(await tagsOf(root)).toEqual(["v2"]);
  });
});
