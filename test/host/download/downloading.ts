import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Clock } from "../../../src/core/clock.ts";
import type { DewyEvent } from "../../../src/core/event.ts";
import type { Artifact, OpenOptions } from "../../../src/core/types.ts";
import type { DownloadRequest } from "../../../src/host/download/download.ts";

/** Bytes to download, and their artifact. */
export const BODY: Uint8Array = new Uint8Array(300_000).map((_, index) => (index * 7919) >>> 3);
export const SHA256: string = createHash("sha256").update(BODY).digest("hex");
export const ARTIFACT: Artifact = {
  name: "app_linux_amd64.tar.gz",
  url: "ghr://acme/app/tag/v1.0.0/app_linux_amd64.tar.gz",
  size: BODY.byteLength,
  digest: `sha256:${SHA256}`,
  revision: "asset-1",
};

/** A response of a fake registry: it streams some bytes, then ends or fails. */
export interface Reply {
  validator?: string;
  /** The bytes of the whole artifact; those before the offset are left out. */
  body?: Uint8Array;
  /** How many bytes are sent. Defaults to all. */
  bytes?: number;
  /** How it fails after them. */
  error?: unknown;
  /** Never ends after them. */
  hang?: boolean;
}

/** A registry that gives its replies in order, and fails on an extra request. */
export class FakeOpen {
  readonly #replies: Reply[];
  /** The offsets that were requested. */
  readonly offsets: number[] = [];
  /** The validators that were sent with them. */
  readonly validators: (string | undefined)[] = [];
  /** How many bytes were handed out. */
  pulled = 0;

  constructor(...replies: Reply[]) {
    this.#replies = replies;
  }

  /** @returns replies that were not asked for. */
  get unused(): number {
    return this.#replies.length;
  }

  open = async ({
    offset = 0,
    validator,
    onValidator,
  }: OpenOptions): Promise<ReadableStream<Uint8Array>> => {
    const reply = this.#replies.shift();
    if (reply === undefined) throw new Error(`unexpected request from offset ${offset}`);
    this.offsets.push(offset);
    this.validators.push(validator);
    if (reply.bytes === undefined && reply.error !== undefined) throw reply.error;
    onValidator?.(reply.validator);
    const rest = (reply.body ?? BODY).subarray(offset);
    return this.#stream(rest.subarray(0, reply.bytes ?? rest.byteLength), reply);
  };

  #stream(bytes: Uint8Array, { error, hang }: Reply): ReadableStream<Uint8Array> {
    let at = 0;
    return new ReadableStream(
      {
        pull: (controller) => {
          const chunk = bytes.slice(at, at + 10_000);
          at += chunk.byteLength;
          this.pulled += chunk.byteLength;
          if (chunk.byteLength > 0) controller.enqueue(chunk);
          else if (hang) return new Promise<void>(() => {});
          else if (error !== undefined) controller.error(error);
          else controller.close();
          return undefined;
        },
      },
      { highWaterMark: 0 },
    );
  }
}

/** A clock that moves only with sleep() and advance(). */
export class FakeClock implements Clock {
  #now = 1_000_000;
  readonly slept: number[] = [];

  monotonic(): number {
    return this.now();
  }
  now(): number {
    return this.#now;
  }

  advance(ms: number): void {
    this.#now += ms;
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    this.slept.push(ms);
    this.#now += ms;
  }
}

/** A download in its own directory. */
export interface Case {
  directory: string;
  events: DewyEvent[];
  clock: FakeClock;
  request(registry: FakeOpen, changes?: Partial<DownloadRequest>): DownloadRequest;
  files(): Promise<string[]>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Makes a directory for one test. */
export async function downloadCase(): Promise<Case> {
  const root = await mkdtemp(join(tmpdir(), "dewy-stage-"));
  const directory = join(root, "staging");
  await mkdir(directory);
  const events: DewyEvent[] = [];
  const clock = new FakeClock();
  return {
    directory,
    events,
    clock,
    request: (registry, changes) => ({
      artifact: ARTIFACT,
      tag: "v1.0.0",
      directory,
      maxBytes: 1 << 30,
      open: registry.open,
      clock,
      emit: (event) => events.push(event),
      signal: new AbortController().signal,
      ...changes,
    }),
    files: async () => (await readdir(directory)).sort(),
    [Symbol.asyncDispose]: () => rm(root, { recursive: true, force: true }),
  };
}
