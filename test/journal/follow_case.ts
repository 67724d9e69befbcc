// The behaviour of followJournal, the same on every runtime. Run by test/journal/follow.test.ts.
import { mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../src/core/clock.ts";
import { journalFile } from "../../src/journal/file.ts";
import { followJournal } from "../../src/journal/follow.ts";
import { equal } from "../runtime/check.ts";
import { append } from "./entries.ts";

/** Runs all checks and returns their names. Throws if one fails. */
export async function followCase(): Promise<string[]> {
  const passed: string[] = [];
  for (const [name, check] of Object.entries(checks)) {
    const root = await realpath(await mkdtemp(join(tmpdir(), "dewy-follow-")));
    try {
      await check(root);
    } finally {
      await rm(root, { recursive: true, force: true });
    }
    passed.push(name);
  }
  return passed;
}

const checks = {
  "has everything so far in the first batch, then what is added": async (root: string) => {
    await append(root, "v1", "v2");
    const follower = new Follower(root);
    equal(await follower.until("v2"), ["v1", "v2"], "first");
    await append(root, "v3");
    await follower.until("v3");
    await append(root, "v4");
    await follower.until("v4");
    equal(follower.batches[0], ["v1", "v2"], "first batch");
    equal((await follower.stop()).slice(2), ["v3", "v4"], "added");
  },
  "begins before the directory exists": async (root: string) => {
    const follower = new Follower(root);
    await follower.firstBatch();
    equal(follower.batches, [[]], "empty");
    await append(root, "v1");
    equal(await follower.until("v1"), ["v1"], "added");
    await follower.stop();
  },
  "misses nothing and repeats nothing during rotations": async (root: string) => {
    const file = journalFile(root, 2000);
    const follower = new Follower(root);
    await follower.firstBatch();
    const expected: string[] = [];
    for (let number = 0; number < 160; number++) {
      expected.push(String(number));
      await append(file, String(number));
      // A reader that is three rotations behind would miss entries.
      if (number % 40 === 39) await follower.until(String(number));
    }
    equal(await follower.until("159"), expected, "all");
    await follower.stop();
  },
  "ends at once when its signal is aborted": async (root: string) => {
    const follower = new Follower(root);
    await follower.firstBatch();
    const startedAt = performance.now();
    await follower.stop();
    equal(performance.now() - startedAt < 900, true, "at once");
  },
};

class Follower {
  readonly batches: string[][] = [];
  readonly #stop = new AbortController();
  readonly #done: Promise<void>;

  constructor(root: string) {
    this.#done = this.#follow(root);
  }

  async #follow(root: string): Promise<void> {
    for await (const batch of followJournal(root, this.#stop.signal)) {
      this.batches.push(batch.map(({ tag = "" }) => tag));
    }
  }

  async firstBatch(): Promise<void> {
    await this.#wait(() => this.batches.length > 0);
  }

  async until(tag: string): Promise<string[]> {
    await this.#wait(() => this.batches.flat().includes(tag));
    return this.batches.flat();
  }

  async stop(): Promise<string[]> {
    this.#stop.abort();
    await this.#done;
    return this.batches.flat();
  }

  async #wait(isDone: () => boolean): Promise<void> {
    const deadline = performance.now() + 15_000;
    while (!isDone()) {
      if (performance.now() > deadline) throw new Error(`too late: ${this.batches.flat()}`);
      await systemClock.sleep(5);
    }
  }
}
