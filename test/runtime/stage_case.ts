// Downloads an archive of each kind from an interrupted stream, extracts it, and prints the result.
// Run by test/host/download/runtimes.test.ts on every runtime.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { env, exit, stdout } from "node:process";
import { systemClock } from "../../src/core/clock.ts";
import { RemoteError } from "../../src/core/error.ts";
import { EXTRACT_LIMITS } from "../../src/host/archive/budget.ts";
import { extractArchive } from "../../src/host/archive/extract.ts";
import { type DownloadRequest, downloadArtifact } from "../../src/host/download/download.ts";
import { tarBytes } from "../host/archive/tar_bytes.ts";
import { zipBytes } from "../host/archive/zip_bytes.ts";

const CONTENT = "0123456789abcdef".repeat(40_000);
const COMPRESSORS: Record<string, string[]> = {
  "app.tar": [],
  "app.tar.gz": ["gzip", "-c"],
  "app.tar.bz2": ["bzip2", "-c"],
  "app.tar.xz": ["xz", "-c"],
  "app.tar.zst": ["zstd", "-cq"],
};

function pack(name: string): Uint8Array | undefined {
  if (name.endsWith(".zip")) {
    return zipBytes([
      { name: "bin/app", content: CONTENT, mode: 0o100755 },
      { name: "current", content: "bin", mode: 0o120777 },
    ]);
  }
  const tar = tarBytes([
    { name: "bin/app", content: CONTENT, mode: 0o4755, mtime: 1_000_000_000 },
    { name: "bin/alias", type: "1", link: "bin/app" },
    { name: "current", type: "2", link: "bin" },
  ]);
  const [program, ...args] = COMPRESSORS[name] ?? [];
  if (program === undefined) return tar;
  try {
    return execFileSync(program, args, { input: tar, maxBuffer: 1 << 26 });
  } catch {
    return undefined;
  }
}

/** Opens the bytes in two halves; the first one ends with a reset. */
function opener(bytes: Uint8Array): DownloadRequest["open"] {
  return async ({ offset = 0 }) => {
    const half = Math.max(offset, bytes.byteLength >> 1);
    return new ReadableStream({
      start: (controller) => {
        controller.enqueue(bytes.slice(offset, offset === 0 ? half : bytes.byteLength));
        if (offset > 0) controller.close();
      },
      pull: (controller) => controller.error(new RemoteError("connection reset")),
    });
  };
}

async function stage(root: string, name: string, bytes: Uint8Array): Promise<string> {
  mkdirSync(join(root, "downloads"), { recursive: true });
  const { signal } = new AbortController();
  const { path, sha256 } = await downloadArtifact({
    artifact: {
      name,
      url: `file:///${name}`,
      size: bytes.byteLength,
      digest: `sha256:${createHash("sha256").update(bytes).digest("hex")}`,
    },
    tag: "v1.0.0",
    directory: join(root, "downloads"),
    maxBytes: 1 << 30,
    open: opener(bytes),
    clock: { now: systemClock.now, monotonic: systemClock.monotonic, sleep: async () => {} },
    emit: () => {},
    signal,
  });
  if (sha256 !== createHash("sha256").update(bytes).digest("hex")) return "another sha256";
  const directory = join(root, name);
  const { entries } = await extractArchive({
    file: path,
    name,
    directory,
    limits: EXTRACT_LIMITS,
    signal,
  });
  const app = join(directory, "bin/app");
  const mode = (lstatSync(app).mode & 0o7777).toString(8);
  const same = readFileSync(app, "utf8") === CONTENT;
  return `${entries} entries, ${mode}, ${same ? "same" : "other"}, ${readlinkSync(join(directory, "current"))}`;
}

async function checksums(root: string): Promise<string> {
  const bytes = new TextEncoder().encode("123456789");
  mkdirSync(join(root, "sums"));
  const digests = ["crc32:cbf43926", "crc32c:e3069283", "crc64nvme:ae8b14860a799888"];
  for (const digest of digests) {
    await downloadArtifact({
      artifact: { name: digest, url: "file:///sum", digest, size: 9 },
      tag: "v1.0.0",
      directory: join(root, "sums"),
      maxBytes: 9,
      open: async () => new Blob([bytes]).stream(),
      clock: systemClock,
      emit: () => {},
      signal: new AbortController().signal,
    });
  }
  return "checked";
}

async function refusal(root: string): Promise<string> {
  const file = join(root, "evil.tar");
  writeFileSync(file, tarBytes([{ name: "../escaped", content: "x" }]));
  const directory = join(root, "evil");
  try {
    await extractArchive({
      file,
      name: "evil.tar",
      directory,
      limits: EXTRACT_LIMITS,
      signal: new AbortController().signal,
    });
    return "extracted";
  } catch (error) {
    return existsSync(join(root, "escaped")) ? "escaped" : (error as Error).name;
  }
}

async function withoutPrograms<T>(root: string, work: () => Promise<T>): Promise<T> {
  const path = env.PATH;
  mkdirSync(join(root, "empty"), { recursive: true });
  env.PATH = join(root, "empty");
  try {
    return await work();
  } finally {
    if (path !== undefined) env.PATH = path;
  }
}

async function main(): Promise<Record<string, string>> {
  const root = mkdtempSync(join(tmpdir(), "dewy-stage-case-"));
  const results: Record<string, string> = {};
  try {
    for (const name of [...Object.keys(COMPRESSORS), "app.zip"]) {
      const bytes = pack(name);
      if (bytes === undefined) results[name] = "no packer";
      else {
        results[name] = await stage(join(root, "programs"), name, bytes);
        results[`${name} by library`] = await withoutPrograms(root, () =>
          stage(join(root, "libraries"), name, bytes),
        );
      }
    }
    results.checksums = await checksums(root);
    results.refusal = await refusal(root);
    return results;
  } catch (error) {
    return {
      ...results,
      error: error instanceof Error ? (error.stack ?? error.message) : String(error),
    };
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

stdout.write(`${JSON.stringify(await main())}\n`, () => exit(0));
