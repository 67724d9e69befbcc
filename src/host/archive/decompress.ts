import { spawn } from "node:child_process";
import { once } from "node:events";
import { createReadStream } from "node:fs";
import { PassThrough, pipeline, type Readable, type Transform } from "node:stream";
import * as zlib from "node:zlib";
import type { ArchiveKind } from "../../platform/artifact_kind.ts";
import { helperEnvironment } from "../process/helper_environment.ts";
import { BrokenRule } from "./entry.ts";

const READ_BYTES = 1 << 18;
const OUTPUT_BYTES = 1 << 18;
// More than the strongest preset of any packer needs, but not harmful.
const MEMORY_LIMIT = "512MiB";

// The largest archives take minutes.
const TOOL_TIMEOUT_MS = 3_600_000;
const MAX_STDERR = 2000;

// Node has it from 22.15 on; its types for older versions do not.
const { createZstdDecompress: builtInZstd } = zlib as {
  createZstdDecompress?: (options: { chunkSize: number }) => Transform;
};

/**
 * Programs of the system are preferred where they are faster than JavaScript (bzip2: about three
 * times, 3.2 s against 8.9 s for a tar of 60 MB); a library replaces a missing one.
 */
export function readTar(
  file: string,
  kind: Exclude<ArchiveKind, "zip">,
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
  const child = spawn(program, args, {
    stdio: ["ignore", "pipe", "pipe"],
    // Nothing else: variables such as XZ_OPT would change its behaviour.
    env: { ...helperEnvironment(), LC_ALL: "C" },
    timeout: TOOL_TIMEOUT_MS,
    killSignal: "SIGKILL",
    signal,
  });
  const exit = once(child, "close") as Promise<[number | null, string | null]>;
  exit.catch(() => {});
  try {
    await once(child, "spawn");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    return yield* fallback();
  }
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr = (stderr + text).slice(0, MAX_STDERR);
  });
  try {
    yield* child.stdout;
    const [code, killedBy] = await exit;
    if (code !== 0) {
      throw new Error(
        stderr.trim() ||
          `${program} ${code === null ? `was ended by ${killedBy}` : `exited with exit code ${code}`}`,
      );
    }
  } finally {
    child.kill("SIGKILL");
  }
}

function through(input: Readable, output: Transform): Readable {
  // An error destroys both streams and reaches the reader of the output.
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
      `it cannot be decompressed here (${(cause as Error).message}); install xz-utils, which supports every kind of xz`,
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
