import { readFile, stat, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { HostError } from "../../core/error.ts";
import { joinSignals } from "../../core/timeout.ts";
import type { Artifact, Deployment, Registry, Resolution } from "../../core/types.ts";
import { splitUrl } from "../../core/url.ts";
import { fileError, hasCode } from "../../host/files/file_error.ts";
import { auditName } from "../audit.ts";
import type { RegistryContext } from "../driver.ts";
import { type FileLocator, parseFileArtifactUrl } from "../file_locator.ts";
import { listRegistry, skipAbandoned } from "../list_registry.ts";
import { directoryHolds, fileSource } from "./source.ts";

export function openFileRegistry(locator: FileLocator, io: RegistryContext): Registry {
  const open: Registry["open"] = async (artifact, options = {}) => {
    const { openFile } = await import("./stream.ts");
    const signal = joinSignals(options.signal, io.signal);
    return openFile(pathOf(artifact), { ...options, signal, revision: artifact.revision });
  };
  const registry = skipAbandoned(
    listRegistry({
      locator,
      io,
      source: fileSource(locator.dir),
      open,
      exists: (tag) => directoryHolds(locator.dir, tag),
      report: (deployment) => writeRecord(locator.dir, deployment),
    }),
  );
  return {
    ...registry,
    digest: digestReader(open),
    resolve: async (options) => addDigest(await registry.resolve(options)),
  };
}

/** A published checksum file counts as the digest of its artifact. */
async function addDigest(resolution: Resolution): Promise<Resolution> {
  if (resolution.kind !== "ready") return resolution;
  const { artifact } = resolution;
  const digest = await findChecksum(pathOf(artifact));
  return digest === undefined ? resolution : { ...resolution, artifact: { ...artifact, digest } };
}

/** More than one poll needs. */
const MAX_DIGESTS = 16;

/** Computes each digest once a revision. `rsync` and `touch` change the revision, but not the bytes. */
function digestReader(open: Registry["open"]): NonNullable<Registry["digest"]> {
  const known = new Map<string, string>();
  return async (artifact, options = {}) => {
    const key = `${artifact.revision} ${artifact.url}`;
    const digest = known.get(key) ?? `sha256:${await sha256(await open(artifact, options))}`;
    known.delete(key);
    known.set(key, digest);
    for (const oldest of [...known.keys()].slice(0, -MAX_DIGESTS)) known.delete(oldest);
    return digest;
  };
}

async function sha256(stream: ReadableStream<Uint8Array>): Promise<string> {
  const { createHash } = await import("node:crypto"); // Bun takes milliseconds to load it.
  const hash = createHash("sha256");
  const reader = stream.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return hash.digest("hex");
    hash.update(value);
  }
}

async function writeRecord(dir: string, deployment: Deployment): Promise<void> {
  if (deployment.error !== undefined) return; // A record says that something was shipped.
  const path = join(dir, deployment.tag, auditName(deployment));
  try {
    await writeFile(path, "", { flag: "wx" });
  } catch (cause) {
    if (hasCode(cause, "EEXIST")) return;
    const error = fileError("write", path, cause);
    if (!hasCode(cause, "EROFS", "EACCES", "EPERM")) throw error;
    // A mounted share is often read-only, and that is a good way to run it.
    const message = `${error.message}; an audit record takes write permission on the directory`;
    throw new HostError(message, { cause, retryable: false, fault: "operator" });
  }
}

function pathOf(artifact: Artifact): string {
  return parseFileArtifactUrl(splitUrl(artifact.url, "the artifact URL"));
}

const LISTS = ["checksums.txt", "SHA256SUMS", "SHA256SUMS.txt", "sha256sums.txt"];
const MAX_BYTES = 1024 * 1024;

/**
 * The SHA-256 that a checksum file beside an artifact states: `<artifact>.sha256`, else a line of `checksums.txt` or
 * `SHA256SUMS`, as `sha256sum` writes them (also with `--tag`).
 * https://www.gnu.org/software/coreutils/manual/html_node/cksum-output-modes.html
 */
export async function findChecksum(path: string): Promise<string | undefined> {
  const name = basename(path);
  const alone = await readSmall(`${path}.sha256`);
  const stated = alone === undefined ? undefined : (findLine(alone, name) ?? onlyHex(alone));
  if (stated !== undefined) return `sha256:${stated}`;
  for (const list of LISTS) {
    const text = await readSmall(join(dirname(path), list));
    const found = text === undefined ? undefined : findLine(text, name);
    if (found !== undefined) return `sha256:${found}`;
  }
  return undefined;
}

function findLine(text: string, name: string): string | undefined {
  for (const line of text.split(/\r?\n/)) {
    const [, hex, listed] = /^([0-9a-f]{64}) [ *](?:\.\/)?(.+)$/i.exec(line) ?? [];
    if (hex !== undefined && listed === name) return hex.toLowerCase();
    const [, tagged, taggedHex] = /^SHA256 \((.+)\) = ([0-9a-f]{64})$/i.exec(line) ?? [];
    if (taggedHex !== undefined && tagged === name) return taggedHex.toLowerCase();
  }
  return undefined;
}

function onlyHex(text: string): string | undefined {
  return /^\s*([0-9a-f]{64})\s*$/i.exec(text)?.[1]?.toLowerCase();
}

async function readSmall(path: string): Promise<string | undefined> {
  try {
    const stats = await stat(path);
    if (!stats.isFile() || stats.size > MAX_BYTES) return undefined;
    return await readFile(path, "utf8");
  } catch (cause) {
    if (hasCode(cause, "ENOENT", "ENOTDIR", "ELOOP")) return undefined;
    throw fileError("read", path, cause);
  }
}
