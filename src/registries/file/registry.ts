import { createHash } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Artifact, Deployment, Registry, Resolution } from "../../core/types.ts";
import { splitUrl } from "../../core/url.ts";
import { fileError, hasCode } from "../../host/files/file_error.ts";
import { auditName } from "../audit.ts";
import type { RegistryContext } from "../driver.ts";
import type { FileLocator } from "../file_locator.ts";
import { parseFileArtifactUrl } from "../file_locator.ts";
import { joinSignals, listRegistry, skipAbandoned } from "../list_registry.ts";
import { findChecksum } from "./checksum.ts";
import { directoryHolds, fileSource } from "./source.ts";

/** Opens a directory. */
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
      report: (deployment) => writeRecord(locator.dir, deployment, io),
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
  const hash = createHash("sha256");
  const reader = stream.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return hash.digest("hex");
    hash.update(value);
  }
}

async function writeRecord(
  dir: string,
  deployment: Deployment,
  io: RegistryContext,
): Promise<void> {
  if (deployment.error !== undefined) return; // A record says that something was shipped.
  const directory = join(dir, deployment.tag);
  const path = join(directory, auditName(deployment));
  try {
    await writeFile(path, "", { flag: "wx" });
  } catch (cause) {
    // A mounted share is often read-only, and that is a good way to run it.
    if (!hasCode(cause, "EROFS", "EACCES", "EPERM")) throw fileError("write", path, cause);
    const message = "No audit record is left: the directory is read-only";
    io.emit({ type: "warning", message, fields: { tag: deployment.tag, directory } });
  }
}

function pathOf(artifact: Artifact): string {
  return parseFileArtifactUrl(splitUrl(artifact.url, "the artifact URL"));
}
