import { formatBytes } from "../../core/bytes.ts";
import type { Context } from "../../core/context.ts";
import { parseDigest } from "../../core/digest.ts";
import { AbortedError, DewyError, IntegrityError, RemoteError } from "../../core/error.ts";
import { messageOf } from "../../core/message_of.ts";
import type { Artifact, OpenOptions } from "../../core/types.ts";
import { redactUrl } from "../../core/url.ts";
import { DiskFault } from "./batch_writer.ts";
import { diskError, isDiskFull, requireSpace } from "./disk_space.ts";
import { type Beginning, cleanStaging, type Leftover, NOTHING, PartFile } from "./part_file.ts";

const MAX_FRUITLESS_ATTEMPTS = 5;
/** Attempts that bring a few bytes each must not continue indefinitely either. */
const MAX_ATTEMPTS = 100;
const FIRST_BACKOFF_MS = 500;
const MAX_BACKOFF_MS = 30_000;
const PROGRESS_MS = 250;

export interface DownloadRequest extends Pick<Context, "clock" | "emit"> {
  artifact: Artifact;
  tag: string;
  /** The staging directory, which exists. Downloads of other artifacts in it are removed. */
  directory: string;
  maxBytes: number;
  open(options: OpenOptions): Promise<ReadableStream<Uint8Array>>;
  /** Stops the download; the bytes so far are kept for the next run. */
  signal: AbortSignal;
  /** How many attempts in a row may bring nothing. Defaults to 5. */
  attempts?: number;
}

export interface Downloaded {
  path: string;
  bytes: number;
  /** Lower-case hex. */
  sha256: string;
}

/**
 * Streams an artifact to disk and hashes it on the way. The file gets its final name only when
 * every byte is there, checked against the size and the digest that the registry states, and safe
 * on the disk. An interrupted download is resumed, within this call and after a crash too, if the
 * registry states a digest or the server identifies the bytes. A complete file of an earlier call
 * is used again without an event.
 */
export async function downloadArtifact(request: DownloadRequest): Promise<Downloaded> {
  refuseTooLarge(request);
  return await new Download(request).run();
}

function refuseTooLarge({ artifact, tag, maxBytes }: DownloadRequest): void {
  if (artifact.size === undefined || artifact.size <= maxBytes) return;
  throw new IntegrityError(
    `Cannot download "${artifact.name}" of ${tag}: it has ${formatBytes(artifact.size)}, more than the ` +
      `${formatBytes(maxBytes)} that --max-artifact-size allows; raise it if this release is right`,
    { retryable: false },
  );
}

class WrongBytesError extends Error {
  /** The error to report if starting over does not help. */
  readonly reason: DewyError;
  /** A transfer from the start may bring the right bytes. */
  readonly isSpliced: boolean;

  constructor(reason: DewyError, isSpliced: boolean) {
    super(reason.message, { cause: reason });
    this.reason = reason;
    this.isSpliced = isSpliced;
  }
}

type TransferEnd = { kind: "whole" } | { kind: "interrupted"; cause: unknown };

class Download {
  readonly #request: DownloadRequest;
  readonly #file: PartFile;

  constructor(request: DownloadRequest) {
    this.#request = request;
    this.#file = new PartFile(request.directory, request.artifact);
  }

  async run(): Promise<Downloaded> {
    try {
      const leftover = await this.#prepare();
      const reused = await this.#reuse(leftover);
      return reused ?? (await this.#fetchOrRestart(leftover.kind === "part" ? leftover : NOTHING));
    } catch (error) {
      throw await this.#translate(error);
    }
  }

  async #prepare(): Promise<Leftover> {
    const { artifact, directory } = this.#request;
    await cleanStaging(directory, artifact);
    const leftover = await this.#usableLeftover();
    if (leftover.kind === "none") await this.#file.remove();
    if (artifact.size !== undefined && leftover.kind !== "complete") {
      const here = leftover.kind === "part" ? leftover.bytes : 0;
      await requireSpace(`download "${artifact.name}"`, directory, artifact.size - here);
    }
    return leftover;
  }

  async #usableLeftover(): Promise<Leftover> {
    const { size = Number.POSITIVE_INFINITY } = this.#request.artifact;
    const leftover = await this.#file.findLeftover();
    const isUsable = leftover.kind !== "none" && leftover.bytes > 0 && leftover.bytes <= size;
    return isUsable ? leftover : { kind: "none" };
  }

  async #reuse(leftover: Leftover): Promise<Downloaded | undefined> {
    if (leftover.kind !== "complete") return undefined;
    const { bytes, sha256 } = leftover;
    const found = await this.#file.hashComplete();
    const isSame = found.sha256 === sha256 && found.bytes === bytes;
    if (isSame && this.#isAsStated(found.stated)) return { path: this.#file.path, bytes, sha256 };
    await this.#file.remove();
    return undefined;
  }

  async #fetchOrRestart(beginning: Beginning): Promise<Downloaded> {
    try {
      return await this.#fetch(beginning);
    } catch (error) {
      if (!(error instanceof WrongBytesError && error.isSpliced)) throw error;
      await this.#file.remove();
      return await this.#fetch(NOTHING);
    }
  }

  async #fetch(beginning: Beginning): Promise<Downloaded> {
    const { artifact, tag, clock, emit } = this.#request;
    const file = this.#file;
    const start = clock.now();
    try {
      await file.open(beginning);
      await this.#receive();
      const sha256 = await this.#verify();
      await file.complete(sha256);
      const { path, bytes } = file;
      const durationMs = clock.now() - start;
      const resumedFrom = beginning.bytes;
      emit({ type: "downloaded", tag, artifact: artifact.name, bytes, resumedFrom, durationMs });
      return { path, bytes, sha256 };
    } finally {
      await file.close();
    }
  }

  async #receive(): Promise<void> {
    const { attempts = MAX_FRUITLESS_ATTEMPTS } = this.#request;
    const file = this.#file;
    for (let total = 1, fruitless = 1; !this.#isWhole(); total += 1, fruitless += 1) {
      const before = file.bytes;
      const end = await this.#transfer();
      if (end.kind === "whole") return;
      await file.flush();
      const { isResumable } = file;
      if (isResumable && file.bytes > before) fruitless = 1;
      if (fruitless >= attempts || total >= MAX_ATTEMPTS) throw this.#givenUp(end.cause);
      await this.#backOff(end.cause, fruitless);
      if (file.bytes === 0) continue;
      if (isResumable) file.isResumed = true;
      else await file.open(NOTHING);
    }
  }

  #isWhole(): boolean {
    return this.#file.bytes === this.#request.artifact.size;
  }

  async #transfer(): Promise<TransferEnd> {
    try {
      await this.#pump(await this.#open());
    } catch (error) {
      if (this.#file.bytes > 0 && refusesOffset(error)) throw new WrongBytesError(error, true);
      if (isFinal(error, this.#request.signal)) throw error;
      return { kind: "interrupted", cause: error };
    }
    const isWhole = this.#request.artifact.size === undefined || this.#isWhole();
    return isWhole ? { kind: "whole" } : { kind: "interrupted", cause: undefined };
  }

  async #open(): Promise<ReadableStream<Uint8Array>> {
    const { signal } = this.#request;
    const { bytes: offset, validator } = this.#file;
    let answered: string | undefined;
    const stream = await this.#request.open({
      offset,
      signal,
      validator: offset > 0 ? validator : undefined,
      onValidator: (value) => {
        answered = value;
      },
    });
    if (offset === 0) await this.#file.identify(answered);
    return stream;
  }

  async #pump(stream: ReadableStream<Uint8Array>): Promise<void> {
    const { artifact, signal } = this.#request;
    const file = this.#file;
    const reportProgress = progressReporter(this.#request);
    const reader = stream.getReader();
    const cancel = (): void => void reader.cancel(signal.reason).catch(() => {});
    signal.addEventListener("abort", cancel, { once: true });
    try {
      while (true) {
        const { done, value } = await reader.read();
        if (signal.aborted) throw new AbortedError(`Stopped: download "${artifact.name}"`);
        if (done) return;
        this.#refuseExcess(file.bytes + value.byteLength);
        const behind = file.write(value);
        if (behind !== undefined) await behind;
        reportProgress(file.bytes);
      }
    } catch (error) {
      await reader.cancel(error).catch(() => {});
      throw error;
    } finally {
      signal.removeEventListener("abort", cancel);
    }
  }

  #refuseExcess(bytes: number): void {
    const { artifact, tag, maxBytes } = this.#request;
    if (bytes > maxBytes) {
      throw new IntegrityError(
        `Cannot download "${artifact.name}" of ${tag}: it sends more than the ${formatBytes(maxBytes)} that ` +
          "--max-artifact-size allows; raise it if this release is right",
        { retryable: false },
      );
    }
    if (artifact.size === undefined || bytes <= artifact.size) return;
    const error = new IntegrityError(
      `Cannot use "${artifact.name}" of ${tag}: the registry states ${artifact.size} bytes, but sends more; ` +
        "nothing was kept",
    );
    throw new WrongBytesError(error, this.#file.isResumed);
  }

  /** Returns the SHA-256. */
  async #verify(): Promise<string> {
    const { artifact, tag } = this.#request;
    const { sha256, stated } = await this.#file.hash();
    if (this.#isAsStated(stated)) return sha256;
    const error = new IntegrityError(
      `Cannot use "${artifact.name}" of ${tag}: the registry states ${artifact.digest}, but the download has ` +
        `${stated}; nothing was kept`,
    );
    throw new WrongBytesError(error, this.#file.isResumed);
  }

  #isAsStated(stated: string | undefined): boolean {
    const { digest } = this.#request.artifact;
    return digest === undefined || parseDigest(digest)?.hex === stated;
  }

  async #backOff(cause: unknown, attempt: number): Promise<void> {
    const { artifact, clock, emit, signal } = this.#request;
    const longest = Math.min(MAX_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** (attempt - 1));
    const jittered = longest / 2 + (Math.random() * longest) / 2;
    const delayMs = Math.round(Math.max(jittered, retryAfter(cause)));
    const url = redactUrl(artifact.url);
    emit({ type: "retry", method: "GET", url, reason: reasonOf(cause), delayMs, attempt });
    await clock.sleep(delayMs, signal);
  }

  #givenUp(cause: unknown): Error {
    const { artifact, tag } = this.#request;
    const { bytes, isResumable } = this.#file;
    const of = artifact.size === undefined ? "" : ` of ${formatBytes(artifact.size)}`;
    return new RemoteError(
      `Cannot download "${artifact.name}" of ${tag}: interrupted repeatedly after ` +
        `${formatBytes(bytes)}${of}: ${reasonOf(cause)}` +
        (bytes > 0 && isResumable ? "; the partial download is kept and resumed later" : ""),
      { cause, method: "GET", url: redactUrl(artifact.url) },
    );
  }

  async #translate(error: unknown): Promise<unknown> {
    const { artifact, directory, signal, tag } = this.#request;
    const isWrongBytes = error instanceof WrongBytesError;
    if (isWrongBytes || error instanceof IntegrityError) await this.#file.remove();
    if (isWrongBytes) return error.reason;
    if (error instanceof DewyError) return error;
    const action = `download "${artifact.name}" of ${tag}`;
    if (signal.aborted) return new AbortedError(`Stopped: ${action}`, { cause: error });
    const cause = error instanceof DiskFault ? error.cause : error;
    const code = (cause as NodeJS.ErrnoException).code;
    // A full disk hurts the apps on it more than a lost download does.
    if (isDiskFull(cause)) await this.#file.remove();
    return code === undefined ? error : await diskError(cause, action, directory, artifact.size);
  }
}

function progressReporter(request: DownloadRequest): (bytes: number) => void {
  const { artifact, tag, clock, emit } = request;
  let last = Number.NEGATIVE_INFINITY;
  return (received) => {
    const now = clock.now();
    if (now - last < PROGRESS_MS) return;
    last = now;
    const { name, size: total } = artifact;
    emit({ type: "download-progress", tag, artifact: name, received, total });
  };
}

function isFinal(error: unknown, signal: AbortSignal): boolean {
  if (signal.aborted || error instanceof DiskFault || error instanceof WrongBytesError) return true;
  if (!(error instanceof DewyError)) return false;
  return !error.retryable || error.code === "rate-limited" || retryAfter(error) > MAX_BACKOFF_MS;
}

/** There is no such rest: the bytes have changed. */
function refusesOffset(error: unknown): error is DewyError {
  if (!(error instanceof DewyError)) return false;
  if (error instanceof RemoteError && error.status === 416) return true;
  return error.code === "conflict" || (error.code === "integrity" && error.retryable);
}

function retryAfter(error: unknown): number {
  return error instanceof RemoteError ? (error.retryAfterMs ?? 0) : 0;
}

function reasonOf(cause: unknown): string {
  return cause === undefined ? "the body ended early" : messageOf(cause);
}
