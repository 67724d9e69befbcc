import { chmod, constants, copyFile, mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { AbortedError, ArchiveError, DewyError, HostError } from "../../core/error.ts";
import { type ArchiveKind, archiveKind } from "../../platform/artifact_kind.ts";
import { diskError } from "../download/disk_space.ts";
import { Budget, type ExtractLimits } from "./budget.ts";
import { readTar } from "./decompress.ts";
import { type ArchiveEntry, BrokenRule, entryPath } from "./entry.ts";
import { tarEntries } from "./tar_entries.ts";
import { TreeWriter } from "./tree_writer.ts";
import { zipEntries } from "./zip_entries.ts";

interface ExtractRequest {
  file: string;
  /** The artifact's name; its end is the kind of archive. */
  name: string;
  /** New or empty. The caller removes it on an error. */
  directory: string;
  limits: ExtractLimits;
  signal: AbortSignal;
}

/**
 * Extracts an archive into a new directory. Nothing outside of it is touched: names and links that
 * leave it, devices and the like are refused. Modes and times are kept; set-id bits and owners are
 * dropped.
 */
export async function extractArchive(
  request: ExtractRequest,
): Promise<{ entries: number; bytes: number }> {
  const kind = archiveKind(request.name);
  if (kind === undefined) {
    throw new ArchiveError(
      `Cannot extract ${quote(request.name)}: dewy does not know its file extension; use .tar, ` +
        ".tar.gz, .tar.bz2, .tar.xz, .tar.zst or .zip, or name a bare executable with artifact=",
    );
  }
  await requireEmpty(request);
  const budget = new Budget(request.limits);
  const writer = new TreeWriter(request.directory, budget);
  let current: string | undefined;
  try {
    for await (const entry of entriesOf(request, kind, budget)) {
      current = entry.name;
      request.signal.throwIfAborted();
      await writer.add(entry);
      current = undefined;
    }
    if (writer.leaves === 0) throw new BrokenRule("it has no files");
    await writer.finish((link) => {
      current = link;
    });
    return { entries: budget.entries, bytes: budget.bytes };
  } catch (error) {
    throw await translate(error, request, current);
  }
}

function entriesOf(
  { file, limits, signal }: ExtractRequest,
  kind: ArchiveKind,
  budget: Budget,
): AsyncGenerator<ArchiveEntry> {
  if (kind === "zip") return zipEntries(file, limits.maxEntries);
  return tarEntries(readTar(file, kind, signal), budget);
}

async function requireEmpty({ directory, name }: ExtractRequest): Promise<void> {
  try {
    await mkdir(directory, { recursive: true });
    if ((await readdir(directory)).length === 0) return;
  } catch (error) {
    throw await diskError(error, `extract ${quote(name)}`, directory);
  }
  throw new HostError(`Cannot extract ${quote(name)}: ${directory} is not empty`);
}

async function translate(
  error: unknown,
  { name, directory, signal }: ExtractRequest,
  current: string | undefined,
): Promise<DewyError> {
  if (error instanceof DewyError) return error;
  if (signal.aborted) return new AbortedError(`Stopped: extract ${quote(name)}`, { cause: error });
  const { cause } = error as Error;
  const entry = current ?? (typeof cause === "string" ? cause : undefined);
  const where = entry === undefined ? "" : `entry ${quote(entry)}: `;
  if (error instanceof BrokenRule) {
    return new ArchiveError(`Cannot extract ${quote(name)}: ${where}${error.message}`);
  }
  const { code, syscall, message } = error as NodeJS.ErrnoException;
  if (code === "ENAMETOOLONG") {
    return new ArchiveError(`Cannot extract ${quote(name)}: ${where}its name is too long`);
  }
  if (syscall !== undefined) return await diskError(error, `extract ${quote(name)}`, directory);
  const reason = `damaged or truncated: ${message}`;
  return new ArchiveError(`Cannot extract ${quote(name)}: ${where}${reason}`, { cause: error });
}

function quote(text: string): string {
  return JSON.stringify(text.length > 200 ? `${text.slice(0, 200)}…` : text);
}

interface PlaceRequest {
  file: string;
  /** Becomes the file's name in the release. */
  name: string;
  directory: string;
  mode: number;
}

/** For a file that is not an archive, such as a bare executable. Returns its path. */
export async function placeFile(request: PlaceRequest): Promise<string> {
  const { file, directory, mode } = request;
  const path = join(directory, plainName(request.name));
  try {
    await mkdir(directory, { recursive: true });
    await copyFile(file, path, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
    await chmod(path, mode);
    return path;
  } catch (error) {
    throw await diskError(error, `place ${JSON.stringify(request.name)}`, directory);
  }
}

function plainName(name: string): string {
  try {
    // Names in object stores have slashes; the executable is called by the last segment.
    const last = entryPath(name).at(-1);
    if (last !== undefined) return last;
  } catch (error) {
    if (!(error instanceof BrokenRule)) throw error;
    throw new ArchiveError(`Cannot place ${JSON.stringify(name)}: ${error.message}`);
  }
  throw new ArchiveError(`Cannot place ${JSON.stringify(name)}: it is not a file name`);
}
