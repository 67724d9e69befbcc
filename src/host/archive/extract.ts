import { mkdir, readdir } from "node:fs/promises";
import { AbortedError, ArchiveError, DewyError, HostError } from "../../core/error.ts";
import { type ArchiveKind, archiveKind } from "../../platform/artifact_kind.ts";
import { diskError } from "../download/disk_space.ts";
import { BrokenRule } from "./broken_rule.ts";
import { Budget, type ExtractLimits } from "./budget.ts";
import { readTar } from "./decompress.ts";
import type { ArchiveEntry } from "./entry.ts";
import { tarEntries } from "./tar_entries.ts";
import { TreeWriter } from "./tree_writer.ts";
import { zipEntries } from "./zip_entries.ts";

export { placeFile } from "./place_file.ts";

/** What is to be extracted, where to, and how much of it. */
export interface ExtractRequest {
  /** The path of the archive. */
  file: string;
  /** The artifact's name, which says what kind of archive it is. */
  name: string;
  /** Where its content goes: new or empty. On an error the caller removes it. */
  directory: string;
  /** How much it may expand to. */
  limits: ExtractLimits;
  /** Ends it. */
  signal: AbortSignal;
}

/** What an archive had. */
export interface Extracted {
  /** Files, directories and links. */
  entries: number;
  /** Bytes of all files together. */
  bytes: number;
}

/**
 * Extracts an archive into a new directory. Whatever the archive says, nothing outside of the directory is
 * touched: names and links that leave it, devices and the like are refused, the set-id bits and the
 * owners are dropped; modes and times are kept.
 *
 * @param request which archive, where to and the limits.
 * @returns what it had.
 * @throws ArchiveError that names the archive, the entry and the rule; HostError when the disk refuses;
 * AbortedError when the signal ends it.
 */
export async function extractArchive(request: ExtractRequest): Promise<Extracted> {
  const kind = archiveKind(request.name);
  if (kind === undefined) {
    throw new ArchiveError(
      `Cannot extract ${quote(request.name)}: its name ends like no archive that dewy knows; use .tar, ` +
        ".tar.gz, .tar.bz2, .tar.xz, .tar.zst or .zip, or name a bare executable with artifact=",
    );
  }
  await requireEmpty(request);
  const budget = new Budget(request.limits);
  const writer = new TreeWriter(request.directory, budget);
  let current: string | undefined;
  const report = (entry: string | undefined): void => {
    current = entry;
  };
  try {
    await writeAll(entriesOf(request, kind, budget), writer, request.signal, report);
    current = undefined;
    if (writer.leaves === 0) throw new BrokenRule("it has no files");
    await writer.finish(report);
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

async function writeAll(
  entries: AsyncGenerator<ArchiveEntry>,
  writer: TreeWriter,
  signal: AbortSignal,
  report: (entry: string | undefined) => void,
): Promise<void> {
  for await (const entry of entries) {
    report(entry.name);
    signal.throwIfAborted();
    await writer.add(entry);
    report(undefined);
  }
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
  const entry = current ?? causedBy(error);
  const where = entry === undefined ? "" : `entry ${quote(entry)}: `;
  if (error instanceof BrokenRule) {
    return new ArchiveError(`Cannot extract ${quote(name)}: ${where}${error.message}`);
  }
  const { code, syscall, message } = error as NodeJS.ErrnoException;
  if (code === "ENAMETOOLONG") {
    return new ArchiveError(`Cannot extract ${quote(name)}: ${where}its name is too long`);
  }
  if (syscall !== undefined) return await diskError(error, `extract ${quote(name)}`, directory);
  return new ArchiveError(
    `Cannot extract ${quote(name)}: ${where}damaged or cut short: ${message}`,
    {
      cause: error,
    },
  );
}

function causedBy(error: unknown): string | undefined {
  const { cause } = error as Error;
  return typeof cause === "string" ? cause : undefined;
}

function quote(text: string): string {
  return JSON.stringify(text.length > 200 ? `${text.slice(0, 200)}…` : text);
}
