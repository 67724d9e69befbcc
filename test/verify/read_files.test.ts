import { describe, expect, test } from "vitest";
import type { Artifact } from "../../src/core/types.ts";
import { readFilesOf } from "../../src/verify/read_files.ts";
import { fakeClock } from "../fakes/clock.ts";

const FILE: Artifact = { name: "checksums.txt", url: "test://v1/checksums.txt" };

function reader(streams: readonly ReadableStream<Uint8Array>[], given: Partial<Artifact> = {}) {
  const left = [...streams];
  const opened: string[] = [];
  const clock = fakeClock();
  const read = readFilesOf({
    registry: {
      async open({ url }, options) {
        opened.push(url);
        options?.signal?.throwIfAborted();
        const stream = left.shift();
        if (stream === undefined) throw new Error("the file is gone");
        return stream;
      },
    },
    clock,
    signal: new AbortController().signal,
  });
  return { opened, clock, read: (max = 100) => read({ ...FILE, ...given }, max) };
}

const text = (content: string): ReadableStream<Uint8Array> =>
  new Blob([content]).stream() as ReadableStream<Uint8Array>;

describe("the files of a release", () => {
  test("are read once, so that every rule sees the same bytes", async () => {
    const { read, opened } = reader([text("one"), text("two")]);
    const both = await Promise.all([read(), read(50)]);
    expect(both.map((bytes) => new TextDecoder().decode(bytes))).toEqual(["one", "one"]);
    expect(opened).toEqual([FILE.url]);
  });

  test("are read again after a failure", async () => {
    const failing = new ReadableStream<Uint8Array>({
      pull: (controller) => controller.error(new Error("reset")),
    });
    const { read } = reader([failing, text("two")]);
    await expect(read()).rejects.toThrow("reset");
    expect(new TextDecoder().decode(await read())).toBe("two");
  });

  test("are not opened if the registry states that they are too large", async () => {
    const { read, opened } = reader([text("x")], { size: 101 });
    await expect(read(100)).rejects.toMatchObject({
      code: "unverified",
      message:
        'Cannot read "checksums.txt": it has more than 100 B, which is too much for a signature or a checksum file',
    });
    expect(opened).toEqual([]);
  });

  test("are closed at the limit, whatever size the registry states", async () => {
    let isClosed = false;
    const endless = new ReadableStream<Uint8Array>({
      pull: (controller) => controller.enqueue(new Uint8Array(60)),
      cancel: () => {
        isClosed = true;
      },
    });
    const { read } = reader([endless], { size: 3 });
    await expect(read(100)).rejects.toMatchObject({ code: "unverified" });
    expect(isClosed).toBe(true);
  });

  test("keep to the limit of each rule", async () => {
    const { read } = reader([text("12345")]);
    await read(5);
    await expect(read(4)).rejects.toThrow("more than 4 B");
  });

  test("must have the digest that the registry states", async () => {
    const { read } = reader([text("one")], { digest: `sha256:${"0".repeat(64)}` });
    await expect(read()).rejects.toMatchObject({ code: "integrity" });
  });

  test("are given up after a minute", async () => {
    const { read, clock } = reader([new ReadableStream()]);
    const reading = expect(read()).rejects.toMatchObject({
      code: "unverified",
      message: 'Cannot read "checksums.txt": no result within 60 s',
    });
    await clock.sleeping(60_000);
    clock.advance(60_000);
    await reading;
  });
});
