import type { Context } from "../core/context.ts";
import { DewyError } from "../core/error.ts";
import type { EventSink } from "../core/event.ts";
import { messageOf } from "../core/message_of.ts";
import { TimeoutError, withTimeout } from "../core/timeout.ts";
import type { Platform } from "../core/types.ts";
import type { AnswerBook, BookedAnswer } from "./answer_book.ts";
import { answerArtifact } from "./artifact_answer.ts";
import type { ArtifactClaim, ArtifactLinks } from "./artifact_link.ts";
import type { Upstream } from "./upstream.ts";

export interface DownloadOptions extends Pick<Context, "clock" | "emit"> {
  upstream: Upstream;
  book: AnswerBook;
  links: ArtifactLinks;
  signal: AbortSignal;
}

const MAX_DOWNLOADS = 256;
const RETRY_AFTER_S = 5;
/** For the first byte. */
const START_TIMEOUT_MS = 60_000;

export function serveDownloads(options: DownloadOptions): (request: Request) => Promise<Response> {
  const { clock, emit } = options;
  let running = 0;

  const open = async (
    request: Request,
    claim: ArtifactClaim,
    signal: AbortSignal,
  ): Promise<Response> => {
    const entry = await findClaimed(claim, options);
    if (entry === undefined) return refusal(404, GONE);
    const registry = options.upstream.registryFor(entry.platform);
    return answerArtifact(request, entry.artifact, entry.revision, ({ offset }) =>
      registry.open(entry.artifact, { offset, signal }),
    );
  };

  const start = async (request: Request, claim: ArtifactClaim): Promise<Response> => {
    const ended = new AbortController();
    const signal = AbortSignal.any([request.signal, options.signal, ended.signal]);
    const opened = open(request, claim, signal);
    try {
      return await withTimeout(opened, { clock, ms: START_TIMEOUT_MS, what: "answer", signal });
    } catch (error) {
      ended.abort(error);
      opened.then(({ body }) => body?.cancel()).catch(() => {}); // It may still arrive.
      return failure(error, claim, emit);
    }
  };

  return async (request) => {
    if (request.method !== "GET" && request.method !== "HEAD") {
      return refusal(405, "Only GET and HEAD", { allow: "GET, HEAD" });
    }
    const claim = await options.links.read(new URL(request.url));
    if (claim === undefined) return refusal(403, "This URL is not signed by this gateway");
    if (claim === "expired") return refusal(403, "This URL has expired; request the version again");
    if (running >= MAX_DOWNLOADS) {
      return refusal(503, "Too many downloads", { "retry-after": String(RETRY_AFTER_S) });
    }
    running += 1;
    const startedAt = clock.now();
    const response = await start(request, claim);
    if (response.body === null || !response.ok) {
      running -= 1;
      return response;
    }
    const length = Number(response.headers.get("content-length") ?? Number.NaN);
    const body = observed(response.body, length, (bytes, isComplete) => {
      running -= 1;
      const { tag, name: artifact } = claim;
      const durationMs = clock.now() - startedAt;
      emit({ type: "artifact-sent", tag, artifact, bytes, isComplete, durationMs });
    });
    return new Response(body, response);
  };
}

const GONE = "This artifact no longer exists";

/** A URL from another gateway with the same key is valid as long as the registry still gives the same answer. */
async function findClaimed(
  claim: ArtifactClaim,
  { book, upstream }: DownloadOptions,
): Promise<BookedAnswer | undefined> {
  const known = book.find(claim.revision);
  if (known !== undefined) return known;
  const platform = readPlatform(claim.platform);
  // The other gateway chose the artifact by platform, or a client requested it by name.
  for (const artifact of [undefined, claim.name]) {
    const resolution = await upstream.current(platform, artifact);
    if (resolution.kind !== "ready") continue;
    const entry = await book.add(resolution.release, resolution.artifact, platform);
    if (entry.revision === claim.revision) return entry;
  }
  return undefined;
}

function readPlatform(text: string): Platform {
  const [os = "", arch = ""] = text.split("/");
  return { os, arch };
}

function failure(error: unknown, claim: ArtifactClaim, emit: EventSink): Response {
  const { tag, name: artifact } = claim;
  const reason = messageOf(error);
  emit({ type: "warning", message: "Download failed", fields: { tag, artifact, reason } });
  const code = error instanceof DewyError ? error.code : undefined;
  if (code === "not-found") return refusal(404, GONE);
  if (error instanceof TimeoutError) {
    return refusal(504, "The upstream registry did not answer in time");
  }
  return refusal(502, "The upstream registry is unavailable");
}

function refusal(status: number, text: string, headers: Record<string, string> = {}): Response {
  return new Response(`${text}\n`, {
    status,
    headers: {
      "content-type": "text/plain; charset=utf-8",
      "cache-control": "no-store",
      ...headers,
    },
  });
}

/** Passes bytes on and calls `ended` once, with their number and whether these were all. `length` may be NaN. */
function observed(
  body: ReadableStream<Uint8Array>,
  length: number,
  ended: (bytes: number, isComplete: boolean) => void,
): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  let bytes = 0;
  let isOver = false;
  const end = (isComplete: boolean): void => {
    if (isOver) return;
    isOver = true;
    ended(bytes, isComplete);
  };
  return new ReadableStream(
    {
      async pull(controller) {
        try {
          const { done, value } = await reader.read();
          if (!done) {
            bytes += value.byteLength;
            controller.enqueue(value);
            return;
          }
          end(true);
          controller.close();
        } catch (error) {
          end(false);
          throw error;
        }
      },
      cancel(reason) {
        // A client that has received everything may close before the end is read.
        end(bytes === length);
        return reader.cancel(reason);
      },
    },
    { highWaterMark: 0 },
  );
}
