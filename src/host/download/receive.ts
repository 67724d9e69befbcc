import { formatBytes } from "../../core/bytes.ts";
import { AbortedError, DewyError, IntegrityError, RemoteError } from "../../core/error.ts";
import { messageOf } from "../../core/message_of.ts";
import { redactUrl } from "../../core/url.ts";
import { DiskFault } from "./batch_writer.ts";
import { type FileDigests, openDigests } from "./digests.ts";
import type { DownloadRequest } from "./download.ts";
import { isResumable } from "./part_file.ts";
import { PartWriter } from "./part_writer.ts";

const ATTEMPTS = 5;
// Attempts that bring a little each are fine, but not without end.
const ATTEMPTS_IN_ALL = 100;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 30_000;
const PROGRESS_MS = 250;

/** The bytes that came are not those of the artifact. */
export class WrongBytesError extends Error {
  /** What to throw when starting over does not help. */
  readonly reason: DewyError;
  /** Whether they came in several transfers, so that one from the start may bring the right ones. */
  readonly spliced: boolean;

  /**
   * @param reason what to throw when starting over does not help.
   * @param spliced whether the bytes came in several transfers.
   */
  constructor(reason: DewyError, spliced: boolean) {
    super(reason.message, { cause: reason });
    this.reason = reason;
    this.spliced = spliced;
  }
}

/** Every byte, in the partial file. */
export interface Received {
  /** Still open. */
  writer: PartWriter;
  /** Not yet asked. */
  digests: FileDigests;
  /** Whether the bytes came in more than one transfer. */
  resumed: boolean;
  /** What the server identifies them by. */
  validator: string | undefined;
}

/** The bytes of a partial file that are there already. */
export interface Beginning {
  bytes: number;
  /** What the server identified them by. */
  validator: string | undefined;
}

/**
 * Fetches the bytes of an artifact into its partial file, in as many transfers as it takes.
 *
 * @param request the download.
 * @param path the partial file.
 * @param beginning what of it is to be kept.
 * @param onValidator writes down what identifies the bytes of a fresh start, before they are written.
 * @returns the file, complete but not yet checked; the caller closes it.
 */
export async function receive(
  request: DownloadRequest,
  path: string,
  beginning: Beginning,
  onValidator: (validator: string | undefined) => Promise<void>,
): Promise<Received> {
  const { artifact } = request;
  const most = request.attempts ?? ATTEMPTS;
  let received = await openPart(request, path, beginning);
  try {
    for (let total = 1, fruitless = 1; !isWhole(request, received); total += 1, fruitless += 1) {
      const before = received.writer.bytes;
      const end = await transfer(request, received, onValidator);
      if (end.kind === "whole") break;
      await received.writer.settle();
      const canResume = isResumable(artifact, received.validator);
      if (canResume && received.writer.bytes > before) fruitless = 1;
      if (fruitless >= most || total >= ATTEMPTS_IN_ALL)
        throw givenUp(request, received, end.cause);
      await pause(request, end.cause, fruitless);
      if (received.writer.bytes === 0) continue;
      if (canResume) received.resumed = true;
      else {
        await received.writer.close();
        received = await openPart(request, path, NOTHING);
      }
    }
    return received;
  } catch (error) {
    await received.writer.settle().catch(() => {});
    await received.writer.close();
    throw error;
  }
}

/** Where a fresh start begins. */
export const NOTHING: Beginning = { bytes: 0, validator: undefined };

async function openPart(
  { artifact }: DownloadRequest,
  path: string,
  { bytes, validator }: Beginning,
): Promise<Received> {
  const digests = await openDigests(artifact.name, artifact.digest);
  const writer = await PartWriter.open(path, digests, bytes > 0);
  return { writer, digests, resumed: writer.bytes > 0, validator };
}

function isWhole({ artifact }: DownloadRequest, { writer }: Received): boolean {
  return artifact.size !== undefined && writer.bytes === artifact.size;
}

type TransferEnd = { kind: "whole" } | { kind: "interrupted"; cause: unknown };

async function transfer(
  request: DownloadRequest,
  received: Received,
  onValidator: (validator: string | undefined) => Promise<void>,
): Promise<TransferEnd> {
  try {
    await pump(request, received, await open(request, received, onValidator));
  } catch (error) {
    if (received.writer.bytes > 0 && refusesOffset(error)) throw new WrongBytesError(error, true);
    if (isFinal(error, request.signal)) throw error;
    return { kind: "interrupted", cause: error };
  }
  const { size } = request.artifact;
  if (size === undefined || received.writer.bytes === size) return { kind: "whole" };
  return { kind: "interrupted", cause: undefined };
}

async function open(
  request: DownloadRequest,
  received: Received,
  onValidator: (validator: string | undefined) => Promise<void>,
): Promise<ReadableStream<Uint8Array>> {
  const { signal } = request;
  const offset = received.writer.bytes;
  let answered: string | undefined;
  const stream = await request.open({
    offset,
    signal,
    ...(offset === 0 || received.validator === undefined ? {} : { validator: received.validator }),
    onValidator: (validator) => {
      answered = validator;
    },
  });
  if (offset > 0) return stream;
  received.validator = answered;
  await onValidator(answered);
  return stream;
}

async function pump(
  request: DownloadRequest,
  received: Received,
  stream: ReadableStream<Uint8Array>,
): Promise<void> {
  const { signal } = request;
  const { writer } = received;
  const progress = progressReporter(request);
  const reader = stream.getReader();
  const cancel = (): void => void reader.cancel(signal.reason).catch(() => {});
  signal.addEventListener("abort", cancel, { once: true });
  try {
    while (true) {
      const { done, value } = await reader.read();
      if (signal.aborted) throw new AbortedError(`Stopped: download "${request.artifact.name}"`);
      if (done) return;
      refuseExcess(request, received, writer.bytes + value.byteLength);
      const behind = writer.write(value);
      if (behind !== undefined) await behind;
      progress(writer.bytes);
    }
  } catch (error) {
    await reader.cancel(error).catch(() => {});
    throw error;
  } finally {
    signal.removeEventListener("abort", cancel);
  }
}

function progressReporter({
  artifact,
  tag,
  clock,
  emit,
}: DownloadRequest): (bytes: number) => void {
  let last = Number.NEGATIVE_INFINITY;
  return (received) => {
    const now = clock.now();
    if (now - last < PROGRESS_MS) return;
    last = now;
    const total = artifact.size === undefined ? {} : { total: artifact.size };
    emit({ type: "download-progress", tag, artifact: artifact.name, received, ...total });
  };
}

function refuseExcess(
  { artifact, tag, maxBytes }: DownloadRequest,
  received: Received,
  bytes: number,
): void {
  if (bytes > maxBytes) {
    throw new IntegrityError(
      `Cannot download "${artifact.name}" of ${tag}: more than the ${formatBytes(maxBytes)} that ` +
        "--max-artifact-size allows came; raise it if this release is right",
      { retryable: false },
    );
  }
  if (artifact.size === undefined || bytes <= artifact.size) return;
  const error = new IntegrityError(
    `Cannot use "${artifact.name}" of ${tag}: the registry states ${artifact.size} bytes, but more came; ` +
      "nothing was kept",
  );
  throw new WrongBytesError(error, received.resumed);
}

function isFinal(error: unknown, signal: AbortSignal): boolean {
  if (signal.aborted || error instanceof DiskFault || error instanceof WrongBytesError) return true;
  if (!(error instanceof DewyError)) return false;
  return !error.retryable || error.code === "rate-limited" || retryAfter(error) > LONGEST_PAUSE_MS;
}

/** The answers to a request from an offset on that say: there is no such rest, the bytes have changed. */
function refusesOffset(error: unknown): error is DewyError {
  if (!(error instanceof DewyError)) return false;
  if (error instanceof RemoteError && error.status === 416) return true;
  return error.code === "conflict" || (error.code === "integrity" && error.retryable);
}

function retryAfter(error: unknown): number {
  return error instanceof RemoteError ? (error.retryAfterMs ?? 0) : 0;
}

async function pause(request: DownloadRequest, cause: unknown, attempt: number): Promise<void> {
  const { artifact, clock, emit, signal } = request;
  const longest = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (attempt - 1));
  const jittered = longest / 2 + (Math.random() * longest) / 2;
  const delayMs = Math.round(Math.max(jittered, retryAfter(cause)));
  const url = redactUrl(artifact.url);
  emit({ type: "retry", method: "GET", url, reason: reasonOf(cause), delayMs, attempt });
  await clock.sleep(delayMs, signal);
}

function reasonOf(cause: unknown): string {
  if (cause === undefined) return "the body ended early";
  return messageOf(cause);
}

function givenUp(
  { artifact, tag }: DownloadRequest,
  { writer, validator }: Received,
  cause: unknown,
): Error {
  const isKept = writer.bytes > 0 && isResumable(artifact, validator);
  const of = artifact.size === undefined ? "" : ` of ${formatBytes(artifact.size)}`;
  return new RemoteError(
    `Cannot download "${artifact.name}" of ${tag}: interrupted again and again after ` +
      `${formatBytes(writer.bytes)}${of}: ${reasonOf(cause)}` +
      (isKept ? "; what came is kept and the rest tried later" : ""),
    { cause, method: "GET", url: redactUrl(artifact.url) },
  );
}
