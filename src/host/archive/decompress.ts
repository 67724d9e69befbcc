import { createReadStream } from "node:fs";
import { PassThrough, pipeline, type Readable, type Transform } from "node:stream";
import * as zlib from "node:zlib";
import { BrokenRule } from "./broken_rule.ts";
import { runDecompressor } from "./run_decompressor.ts";

/** The ways in which a tar can be compressed. */
export type TarKind = "tar" | "tar.gz" | "tar.bz2" | "tar.xz" | "tar.zst";

const READ_BYTES = 1 << 18;
const OUTPUT_BYTES = 1 << 18;
// More than any packer's strongest preset needs; less than what hurts.
const MEMORY_LIMIT = "512MiB";

// Node has it from 22.15 on, and its types for older versions do not know it.
const { createZstdDecompress: builtInZstd } = zlib as {
  createZstdDecompress?: (options: { chunkSize: number }) => Transform;
};

/**
 * Streams the tar inside a file. The system's programs are preferred where they are faster than anything in
 * JavaScript; where they are missing a library does it.
 *
 * @param file the path of the archive.
 * @param kind how it is compressed.
 * @param signal ends it.
 * @returns the bytes of the tar.
 */
export function readTar(
  file: string,
  kind: TarKind,
  signal: AbortSignal,
): AsyncIterable<Uint8Array> {
  const input = (): Readable => createReadStream(file, { highWaterMark: READ_BYTES, signal });
  switch (kind) {
    case "tar":
      return input();
    case "tar.gz":
      return through(input(), zlib.createGunzip({ chunkSize: OUTPUT_BYTES }));
    case "tar.bz2":
      return preferTool("bzip2", ["-dc", file], signal, () => unbzip2(input()));
    case "tar.xz":
      return preferTool("xz", ["-dc", `--memlimit-decompress=${MEMORY_LIMIT}`, file], signal, () =>
        unxz(input()),
      );
    case "tar.zst":
      return builtInZstd === undefined
        ? preferTool("zstd", ["-dcq", "-M512MB", file], signal, () => unzstd(input()))
        : through(input(), builtInZstd({ chunkSize: OUTPUT_BYTES }));
  }
}

async function* preferTool(
  program: string,
  args: readonly string[],
  signal: AbortSignal,
  fallback: () => AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const output = await runDecompressor(program, args, signal);
  yield* output ?? fallback();
}

function through(input: Readable, output: Transform): Readable {
  // Errors destroy both streams; whoever iterates the output sees them.
  pipeline(input, output, () => {});
  return output;
}

async function* unbzip2(input: Readable): AsyncGenerator<Uint8Array> {
  const { default: unbzip2Stream } = await import("unbzip2-stream");
  const output = new PassThrough({ highWaterMark: OUTPUT_BYTES });
  pipeline(input, unbzip2Stream(), output, () => {});
  yield* output;
}

type XzModule = typeof import("xz-decompress");

async function* unxz(input: Readable): AsyncGenerator<Uint8Array> {
  // A CommonJS bundle: whether its exports are named ones depends on the runtime.
  const loaded: XzModule & { default?: XzModule } = await import("xz-decompress");
  const XzReadableStream = loaded.XzReadableStream ?? loaded.default?.XzReadableStream;
  const stream = new XzReadableStream(toWebStream(input));
  try {
    yield* stream;
  } catch (cause) {
    throw new BrokenRule(
      `it cannot be decompressed here (${(cause as Error).message}); install xz-utils, which knows every kind of xz`,
    );
  }
}

async function* unzstd(input: Readable): AsyncGenerator<Uint8Array> {
  const { Decompress } = await import("fzstd");
  let ready: Uint8Array[] = [];
  const decompress = new Decompress((chunk) => ready.push(chunk));
  for await (const chunk of input) {
    decompress.push(chunk as Uint8Array);
    yield* ready;
    ready = [];
  }
  decompress.push(new Uint8Array(0), true);
  yield* ready;
}

// Readable.toWeb of Node 20 counts chunks where it should count bytes, and reads far ahead.
function toWebStream(input: Readable): ReadableStream<Uint8Array> {
  const chunks = input[Symbol.asyncIterator]();
  return new ReadableStream({
    pull: async (controller) => {
      const { done, value } = await chunks.next();
      if (done) controller.close();
      else controller.enqueue(value);
    },
    cancel: () => void input.destroy(),
  });
}
