// Download and extraction: dewy (Node) against `curl | tar xz`, wall time and peak memory, from a server on
// this machine. Run it with `npm run bench -- stage [MB…]`; 100 and 500 unless told, then 20,000 small files.
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  createReadStream,
  createWriteStream,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
} from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { fileURLToPath } from "node:url";
import { createGzip } from "node:zlib";
import { createTarPacker } from "modern-tar";

const ROUNDS = 3;
const FILE_BYTES = 8 << 20;
const CHILD = fileURLToPath(new URL("support/stage_child.mjs", import.meta.url));

interface Archive {
  name: string;
  path: string;
  what: string;
}

interface ChildResult {
  downloadMs: number;
  extractMs: number;
  peakMiB: number;
}

/** Compresses about two to one, like programs do. */
function content(bytes: number): Uint8Array {
  const block = Buffer.alloc(bytes);
  const noise = randomBytes(bytes >> 1);
  for (let at = 0; at < noise.byteLength; at += 64) {
    noise.copy(block, at * 2, at, at + 64);
    block.fill("the same text over and over; ", at * 2 + 64, at * 2 + 128);
  }
  return block;
}

async function makeArchive(
  directory: string,
  name: string,
  what: string,
  isEnough: (compressed: number, files: number) => boolean,
  body: Uint8Array,
): Promise<Archive> {
  const path = join(directory, name);
  const gzip = createGzip({ level: 1 });
  const file = createWriteStream(path);
  const { readable, controller } = createTarPacker();
  const written = pipeline(Readable.fromWeb(readable as never), gzip, file);
  for (let files = 0; !isEnough(file.bytesWritten, files); files += 1) {
    const header = { name: `app/d${files % 100}/f${files}`, size: body.byteLength, mode: 0o644 };
    const writer = controller.add(header).getWriter();
    await writer.write(body);
    await writer.close();
    while (gzip.writableNeedDrain) await new Promise((resolve) => gzip.once("drain", resolve));
  }
  controller.finalize();
  await written;
  return { name, path, what };
}

function run(program: string, args: readonly string[]): Promise<{ ms: number; stdout: string }> {
  return new Promise((resolve, reject) => {
    const start = performance.now();
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"] });
    let stdout = "";
    child.stdout.on("data", (chunk) => {
      stdout += chunk;
    });
    child.on("error", reject);
    child.on("close", (code) => {
      if (code === 0) resolve({ ms: performance.now() - start, stdout });
      else reject(new Error(`${program} ended with ${code}`));
    });
  });
}

function median<T>(values: readonly T[], by: (value: T) => number): T {
  const sorted = [...values].sort((a, b) => by(a) - by(b));
  const middle = sorted[Math.floor(sorted.length / 2)];
  if (middle === undefined) throw new Error("nothing was measured");
  return middle;
}

async function compare(archive: Archive, origin: string, directory: string): Promise<object> {
  const url = `${origin}/${archive.name}`;
  const size = statSync(archive.path).size;
  const curl: number[] = [];
  const dewy: ({ ms: number } & ChildResult)[] = [];
  // In turns, so that a busy moment of the machine hits both.
  for (let round = 0; round < ROUNDS; round += 1) {
    const target = join(directory, `${archive.name}-${round}`);
    mkdirSync(join(target, "curl"), { recursive: true });
    const pipe = `curl -sf '${url}' | tar xz -C '${join(target, "curl")}'`;
    curl.push((await run("sh", ["-c", pipe])).ms);
    const { ms, stdout } = await run("node", [CHILD, url, join(target, "dewy"), String(size)]);
    dewy.push({ ms, ...(JSON.parse(stdout) as ChildResult) });
    // ext4 is slow to hand out inodes that were freed a moment ago: many files are left until the end.
    if (size > 50e6) rmSync(target, { recursive: true, force: true });
  }
  const ours = median(dewy, ({ ms }) => ms);
  const theirs = median(curl, (ms) => ms);
  return {
    archive: archive.what,
    "MB compressed": Math.round(size / 1e6),
    "curl | tar (s)": Number((theirs / 1000).toFixed(2)),
    "dewy (s)": Number((ours.ms / 1000).toFixed(2)),
    ratio: Number((ours.ms / theirs).toFixed(2)),
    "download (s)": Number((ours.downloadMs / 1000).toFixed(2)),
    "extract (s)": Number((ours.extractMs / 1000).toFixed(2)),
    "peak memory (MiB)": Math.round(Math.max(...dewy.map(({ peakMiB }) => peakMiB))),
  };
}

const sizes = process.argv.slice(2).map(Number);
const directory = mkdtempSync(join(tmpdir(), "dewy-bench-stage-"));
const server = createServer((request, response) => {
  const path = join(directory, (request.url ?? "").slice(1));
  response.setHeader("content-length", statSync(path).size);
  createReadStream(path, { highWaterMark: 1 << 18 }).pipe(response);
});
await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
try {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const origin = `http://127.0.0.1:${address.port}`;
  const rows: object[] = [];
  for (const megabytes of sizes.length > 0 ? sizes : [100, 500]) {
    const isEnough = (compressed: number): boolean => compressed >= megabytes * 1e6;
    const what = `files of ${FILE_BYTES >> 20} MiB`;
    const archive = await makeArchive(
      directory,
      `${megabytes}.tar.gz`,
      what,
      isEnough,
      content(FILE_BYTES),
    );
    rows.push(await compare(archive, origin, directory));
    rmSync(archive.path);
  }
  const isEnough = (_: number, files: number): boolean => files >= 20_000;
  const many = await makeArchive(
    directory,
    "many.tar.gz",
    "20,000 files of 4 KiB",
    isEnough,
    content(4096),
  );
  rows.push(await compare(many, origin, directory));
  console.table(rows);
} finally {
  server.close();
  rmSync(directory, { recursive: true, force: true });
}
