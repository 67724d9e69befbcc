import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { type FileHandle, lstat, open, readdir, rename, rm, unlink } from "node:fs/promises";
import { join } from "node:path";
import type { Artifact } from "../../core/types.ts";
import { createFile, readOwnFileIfPresent, temporaryPath } from "../files/atomic_file.ts";
import { hasCode } from "../files/file_error.ts";
import { bootId } from "../process/processes.ts";
import { BatchWriter } from "./batch_writer.ts";
import { type FileDigests, type FileHashes, openDigests } from "./digests.ts";

const READ_BYTES = 1 << 20;

/** From an earlier run. */
export type Leftover =
  | { kind: "none" }
  | ({ kind: "part" } & Beginning)
  | { kind: "complete"; bytes: number; sha256: string };

/** The bytes that a download starts with. */
export interface Beginning {
  bytes: number;
  /** The server's: an ETag or a date. */
  validator: string | undefined;
}

export const NOTHING: Beginning = { bytes: 0, validator: undefined };

/** The bytes are used for the very same artifact only. */
interface Sidecar {
  url: string;
  revision: string | undefined;
  size: number | undefined;
  digest: string | undefined;
  /** The boot of the machine during which it was written. */
  boot: string | undefined;
  validator?: string | undefined;
  /** Written when every byte was there and checked, before the file got its final name. */
  complete?: { bytes: number; sha256: string };
}

/**
 * An artifact's file in the staging directory, first partial, then complete under its final name,
 * and a sidecar that says which artifact the bytes belong to. Every byte is hashed on the way.
 */
export class PartFile {
  /** The path of the complete file. */
  readonly path: string;
  readonly #artifact: Artifact;
  readonly #part: string;
  readonly #sidecar: string;
  #writing: { file: FileHandle; digests: FileDigests; batches: BatchWriter } | undefined;
  validator: string | undefined;
  /** Whether the bytes came in more than one transfer. */
  isResumed = false;

  constructor(directory: string, artifact: Artifact) {
    this.#artifact = artifact;
    const paths = stagedPaths(directory, artifact.name);
    this.path = paths.final;
    this.#part = paths.part;
    this.#sidecar = paths.sidecar;
  }

  /** Returns `none` also when the sidecar does not say which artifact the bytes belong to. */
  async findLeftover(): Promise<Leftover> {
    const artifact = this.#artifact;
    try {
      const text = await readOwnFileIfPresent(this.#sidecar);
      const sidecar = JSON.parse(text ?? "") as Sidecar;
      if (!isSame(sidecar, artifact)) return { kind: "none" };
      const { complete, validator } = sidecar;
      const isIdentified = artifact.digest !== undefined || artifact.revision !== undefined;
      if (isIdentified && complete !== undefined && (await sizeOf(this.path)) === complete.bytes) {
        return { kind: "complete", ...complete };
      }
      if (!isResumable(artifact, validator) || !isSound(sidecar, artifact)) return { kind: "none" };
      const bytes = await sizeOf(this.#part);
      return bytes === undefined ? { kind: "none" } : { kind: "part", bytes, validator };
    } catch {
      return { kind: "none" };
    }
  }

  async hashComplete(): Promise<FileHashes & { bytes: number }> {
    const digests = await openDigests(this.#artifact.name, this.#artifact.digest);
    const file = await openExisting(this.path);
    try {
      const bytes = await hashFile(file, digests);
      return { bytes, ...(await digests.finish()) };
    } finally {
      await file.close();
    }
  }

  /** Opens the partial file after its beginning; {@link NOTHING} starts over. */
  async open({ bytes, validator }: Beginning): Promise<void> {
    await this.close();
    await this.identify(validator);
    const { name, digest } = this.#artifact;
    const digests = await openDigests(name, digest);
    if (bytes === 0) await rm(this.#part, { force: true });
    const file = bytes > 0 ? await openExisting(this.#part) : await createFile(this.#part, 0o600);
    try {
      const kept = bytes > 0 ? await hashFile(file, digests) : 0;
      this.#writing = { file, digests, batches: new BatchWriter(file, kept) };
      this.isResumed = kept > 0;
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** Records what the server identifies the bytes by, before they are written. */
  async identify(validator: string | undefined): Promise<void> {
    this.validator = validator;
    await this.#writeSidecar({ validator });
  }

  /** Bytes taken so far, those of earlier runs included. */
  get bytes(): number {
    return this.#open.batches.bytes;
  }

  get isResumable(): boolean {
    return isResumable(this.#artifact, this.validator);
  }

  /** Like {@link BatchWriter.write}. */
  write(chunk: Uint8Array): Promise<void> | undefined {
    const { digests, batches } = this.#open;
    digests.update(chunk);
    return batches.write(chunk);
  }

  async flush(): Promise<void> {
    await this.#open.batches.settle();
  }

  /** Returns the hashes of all bytes taken. Call it once. */
  async hash(): Promise<FileHashes> {
    return await this.#open.digests.finish();
  }

  /** Waits until every byte is safe on the disk, then gives the file its final name. */
  async complete(sha256: string): Promise<void> {
    const { file, batches } = this.#open;
    await batches.settle();
    await file.sync();
    await this.#writeSidecar({ complete: { bytes: batches.bytes, sha256 } });
    await rename(this.#part, this.path);
  }

  /** Closes the file. Bytes that cannot be written are given up. */
  async close(): Promise<void> {
    const writing = this.#writing;
    this.#writing = undefined;
    if (writing === undefined) return;
    await writing.batches.settle().catch(() => {});
    await writing.file.close();
  }

  async remove(): Promise<void> {
    for (const path of [this.path, this.#part, this.#sidecar]) await rm(path, { force: true });
  }

  get #open(): { file: FileHandle; digests: FileDigests; batches: BatchWriter } {
    if (this.#writing === undefined) throw new Error("the partial file is not open");
    return this.#writing;
  }

  async #writeSidecar(more: Pick<Sidecar, "validator" | "complete">): Promise<void> {
    const { url, revision, size, digest } = this.#artifact;
    const sidecar: Sidecar = { url, revision, size, digest, boot: bootId(), ...more };
    const temporary = temporaryPath(this.#sidecar);
    const file = await createFile(temporary, 0o600);
    try {
      await file.writeFile(JSON.stringify(sidecar));
    } finally {
      await file.close();
    }
    await rename(temporary, this.#sidecar);
  }
}

/** Removes all downloads but that of `keep`, which can be resumed. Other files stay. */
export async function cleanStaging(
  directory: string,
  keep?: Pick<Artifact, "name">,
): Promise<void> {
  const paths = keep === undefined ? [] : Object.values(stagedPaths(directory, keep.name));
  const kept = new Set(paths);
  const names = await readdir(directory).catch((error: unknown) => {
    if (hasCode(error, "ENOENT")) return [];
    throw error;
  });
  for (const name of names) {
    const path = join(directory, name);
    if (kept.has(path) || !STAGED.test(name)) continue;
    if ((await lstat(path)).isFile()) await unlink(path);
  }
}

/** The names of {@link stagedPaths}, and those of temporary files beside them. */
const STAGED = /\.dewy(?:-part(?:\.json(?:\.[0-9a-f]{16}\.tmp)?)?)?$/;

function stagedPaths(
  directory: string,
  name: string,
): Record<"final" | "part" | "sidecar", string> {
  const final = join(directory, `${safeFileName(name)}.dewy`);
  return { final, part: `${final}-part`, sidecar: `${final}-part.json` };
}

const MAX_NAME_LENGTH = 120;
const UNSAFE = /[^A-Za-z0-9._+@-]/g;

/**
 * Never a path, never hidden, never too long. A name that had to change keeps its end (the kind of
 * archive) and gets a hash, so that different names stay different.
 */
function safeFileName(name: string): string {
  const plain = name.replaceAll(UNSAFE, "_").replace(/^\.+/, "_");
  if (plain === name && name !== "" && name.length <= MAX_NAME_LENGTH) return name;
  const hash = createHash("sha256").update(name).digest("hex").slice(0, 12);
  return `${hash}-${plain.slice(-(MAX_NAME_LENGTH - hash.length - 1))}`;
}

/** Without a digest or a validator nothing would notice that the rest belongs to another file. */
function isResumable({ digest }: Artifact, validator: string | undefined): boolean {
  return digest !== undefined || validator !== undefined;
}

/** Bytes written before a power cut may have holes, which only a digest finds. */
function isSound({ boot }: Sidecar, artifact: Artifact): boolean {
  return artifact.digest !== undefined || (boot !== undefined && boot === bootId());
}

function isSame(sidecar: Sidecar, artifact: Artifact): boolean {
  const keys = ["url", "revision", "size", "digest"] as const;
  return keys.every((key) => sidecar[key] === artifact[key]);
}

/** Of a plain file only: dewy makes neither links nor files with a second name. */
async function sizeOf(path: string): Promise<number | undefined> {
  const status = await lstat(path).catch(() => undefined);
  return status?.isFile() === true && status.nlink === 1 ? status.size : undefined;
}

function openExisting(path: string): Promise<FileHandle> {
  return open(path, constants.O_RDWR | (constants.O_NOFOLLOW ?? 0));
}

/** Returns the number of bytes. */
async function hashFile(file: FileHandle, digests: FileDigests): Promise<number> {
  const buffer = new Uint8Array(READ_BYTES);
  let position = 0;
  while (true) {
    const { bytesRead } = await file.read(buffer, 0, buffer.byteLength, position);
    if (bytesRead === 0) return position;
    digests.update(buffer.subarray(0, bytesRead));
    position += bytesRead;
  }
}
