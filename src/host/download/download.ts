import { rename } from "node:fs/promises";
import { formatBytes } from "../../core/bytes.ts";
import type { Clock } from "../../core/clock.ts";
import { parseDigest } from "../../core/digest.ts";
import { AbortedError, DewyError, IntegrityError } from "../../core/error.ts";
import type { EventSink } from "../../core/event.ts";
import type { Artifact, OpenOptions } from "../../core/types.ts";
import { DiskFault } from "./batch_writer.ts";
import { cleanStaging } from "./clean_staging.ts";
import { openDigests } from "./digests.ts";
import { diskError, isDiskFull, requireSpace } from "./disk_space.ts";
import {
  findLeftover,
  type Leftover,
  removeStaged,
  type StagedPaths,
  stagedPaths,
  writeSidecar,
} from "./part_file.ts";
import { PartWriter } from "./part_writer.ts";
import { type Beginning, NOTHING, receive, WrongBytesError } from "./receive.ts";

/** What is to be downloaded, where to, and what it needs from the world. */
export interface DownloadRequest {
  /** What to fetch; its `size` and `digest` are checked. */
  artifact: Artifact;
  /** The release's tag, for events and errors. */
  tag: string;
  /** dewy's own staging directory, which exists. Downloads of other artifacts in it are removed. */
  directory: string;
  /** The most bytes taken: `--max-artifact-size`. */
  maxBytes: number;
  /** Streams the artifact. */
  open(options: OpenOptions): Promise<ReadableStream<Uint8Array>>;
  /** Time, for the pauses between attempts and the pace of progress events. */
  clock: Clock;
  /** Hears of progress, of retries and of the end. */
  emit: EventSink;
  /** Ends the download; what has come is kept for the next time. */
  signal: AbortSignal;
  /** Attempts in a row that may bring nothing. The default is 5. */
  attempts?: number;
}

/** A complete, checked file. */
export interface Downloaded {
  /** Where it lies. */
  path: string;
  /** Its size. */
  bytes: number;
  /** Lower-case hex. */
  sha256: string;
}

/**
 * Streams an artifact to disk, hashed on the way. It has its final name only when every byte is there,
 * checked against the size and the digest that the registry states, and safe on the disk. What is
 * interrupted goes on where it stopped, within this call and after a crash too, if the registry states a digest or the
 * server identifies the bytes. A complete file that an earlier call has left is used again without an event.
 *
 * @param request what, where to and by which means.
 * @returns the file.
 * @throws IntegrityError when the bytes are not those that the registry states (nothing is kept) or too
 * many, HostError when the disk refuses, AbortedError when the signal ends it, and what `open` throws when
 * it cannot be retried.
 */
export async function downloadArtifact(request: DownloadRequest): Promise<Downloaded> {
  refuseTooLarge(request);
  const paths = stagedPaths(request.directory, request.artifact.name);
  try {
    const leftover = await prepare(request, paths);
    if (leftover.kind === "complete") {
      const again = await reuse(request, paths, leftover);
      if (again !== undefined) return again;
    }
    return await fetchOrRestart(request, paths, leftover.kind === "part" ? leftover : NOTHING);
  } catch (error) {
    throw await translate(error, request, paths);
  }
}

function refuseTooLarge({ artifact, tag, maxBytes }: DownloadRequest): void {
  if (artifact.size === undefined || artifact.size <= maxBytes) return;
  throw new IntegrityError(
    `Cannot download "${artifact.name}" of ${tag}: it has ${formatBytes(artifact.size)}, more than the ` +
      `${formatBytes(maxBytes)} that --max-artifact-size allows; raise it if this release is right`,
    { retryable: false },
  );
}

async function prepare(request: DownloadRequest, paths: StagedPaths): Promise<Leftover> {
  const { artifact, directory } = request;
  await cleanStaging(directory, artifact);
  const leftover = await usableLeftover(paths, artifact);
  if (leftover.kind === "none") await removeStaged(paths);
  if (artifact.size !== undefined && leftover.kind !== "complete") {
    const here = leftover.kind === "part" ? leftover.bytes : 0;
    await requireSpace(`download "${artifact.name}"`, directory, artifact.size - here);
  }
  return leftover;
}

async function usableLeftover(paths: StagedPaths, artifact: Artifact): Promise<Leftover> {
  const leftover = await findLeftover(paths, artifact);
  if (leftover.kind === "none" || leftover.bytes === 0) return { kind: "none" };
  return artifact.size !== undefined && leftover.bytes > artifact.size
    ? { kind: "none" }
    : leftover;
}

async function reuse(
  { artifact }: DownloadRequest,
  paths: StagedPaths,
  { bytes, sha256 }: Leftover & { kind: "complete" },
): Promise<Downloaded | undefined> {
  const digests = await openDigests(artifact.name, artifact.digest);
  const file = await PartWriter.open(paths.final, digests, true);
  await file.close();
  const found = await digests.finish();
  const same = found.sha256 === sha256 && file.bytes === bytes;
  if (same && isAsStated(artifact, found.stated)) return { path: paths.final, bytes, sha256 };
  await removeStaged(paths);
  return undefined;
}

async function fetchOrRestart(
  request: DownloadRequest,
  paths: StagedPaths,
  beginning: Beginning,
): Promise<Downloaded> {
  try {
    return await fetchFrom(request, paths, beginning);
  } catch (error) {
    if (!(error instanceof WrongBytesError && error.spliced)) throw error;
    await removeStaged(paths);
    return await fetchFrom(request, paths, NOTHING);
  }
}

async function fetchFrom(
  request: DownloadRequest,
  paths: StagedPaths,
  beginning: Beginning,
): Promise<Downloaded> {
  const { artifact, tag, clock, emit } = request;
  const start = clock.now();
  const note = (validator: string | undefined): Promise<void> =>
    writeSidecar(paths, artifact, { validator });
  await note(beginning.validator);
  const received = await receive(request, paths.part, beginning, note);
  try {
    const { sha256, stated } = await received.digests.finish();
    if (!isAsStated(artifact, stated)) throw mismatch(request, stated, received.resumed);
    await received.writer.sync();
    const { bytes } = received.writer;
    await writeSidecar(paths, artifact, { complete: { bytes, sha256 } });
    await rename(paths.part, paths.final);
    const durationMs = clock.now() - start;
    emit({
      type: "downloaded",
      tag,
      artifact: artifact.name,
      bytes,
      resumedFrom: beginning.bytes,
      durationMs,
    });
    return { path: paths.final, bytes, sha256 };
  } finally {
    await received.writer.close();
  }
}

function isAsStated(artifact: Artifact, stated: string | undefined): boolean {
  return artifact.digest === undefined || parseDigest(artifact.digest)?.hex === stated;
}

function mismatch(
  { artifact, tag }: DownloadRequest,
  stated: string | undefined,
  resumed: boolean,
): Error {
  const error = new IntegrityError(
    `Cannot use "${artifact.name}" of ${tag}: the registry states ${artifact.digest}, but what came has ` +
      `${stated}; nothing was kept`,
  );
  return new WrongBytesError(error, resumed);
}

async function translate(
  error: unknown,
  { artifact, directory, signal, tag }: DownloadRequest,
  paths: StagedPaths,
): Promise<unknown> {
  const wrongBytes = error instanceof WrongBytesError;
  if (wrongBytes || error instanceof IntegrityError) await removeStaged(paths);
  if (wrongBytes) return error.reason;
  if (error instanceof DewyError) return error;
  const action = `download "${artifact.name}" of ${tag}`;
  if (signal.aborted) return new AbortedError(`Stopped: ${action}`, { cause: error });
  const cause = error instanceof DiskFault ? error.cause : error;
  const code = (cause as NodeJS.ErrnoException).code;
  // A full disk hurts what runs on it more than a lost download does.
  if (isDiskFull(cause)) await removeStaged(paths);
  return code === undefined ? error : await diskError(cause, action, directory, artifact.size);
}
