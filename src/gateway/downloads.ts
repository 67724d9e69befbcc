import type { Clock } from "../core/clock.ts";
import { DewyError } from "../core/error.ts";
import type { EventSink } from "../core/event.ts";
import { messageOf } from "../core/message_of.ts";
import type { Platform } from "../core/types.ts";
import { TimeoutError, withTimeout } from "../http/timeout.ts";
import type { AnswerBook, BookedAnswer } from "./answer_book.ts";
import { answerArtifact } from "./artifact_answer.ts";
import type { ArtifactClaim, ArtifactLinks } from "./artifact_link.ts";
import { observed } from "./observed.ts";
import type { Upstream } from "./upstream.ts";

/** What {@link serveDownloads} needs. */
export interface DownloadOptions {
  /** Where the bytes come from. */
  upstream: Upstream;
  /** What was answered. */
  book: AnswerBook;
  /** Checks addresses. */
  links: ArtifactLinks;
  /** Time. */
  clock: Clock;
  /** Hears what was sent. */
  emit: EventSink;
  /** Ends downloads. */
  signal: AbortSignal;
}

/** How many downloads run or wait for the upstream at once; further ones are asked to come again. */
const MAX_DOWNLOADS = 256;
const RETRY_AFTER_S = 5;
/** How long the upstream may take until it begins to answer, in milliseconds. */
const START_TIMEOUT_MS = 60_000;

/**
 * Serves artifacts by signed address, straight from the upstream registry.
 *
 * @param options the world.
 * @returns a function from request to answer; it never throws.
 */
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
      opened.then(({ body }) => body?.cancel()).catch(() => {}); // It may come all the same.
      return failure(error, claim, emit);
    }
  };

  return async (request) => {
    if (request.method !== "GET" && request.method !== "HEAD") {
      return refusal(405, "Only GET and HEAD", { allow: "GET, HEAD" });
    }
    const claim = await options.links.read(new URL(request.url));
    if (claim === undefined) return refusal(403, "This address is not signed by this gateway");
    if (claim === "expired")
      return refusal(403, "This address has expired; ask for the version again");
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

const GONE = "This artifact is not there any more";

/** An address of another gateway with the same key is good, too, as long as the registry still answers the same. */
async function findClaimed(
  claim: ArtifactClaim,
  { book, upstream }: DownloadOptions,
): Promise<BookedAnswer | undefined> {
  const known = book.find(claim.revision);
  if (known !== undefined) return known;
  const platform = readPlatform(claim.platform);
  // The other gateway has chosen the artifact by platform, or was asked for it by name.
  for (const artifact of [undefined, claim.name]) {
    const resolution = await upstream.current(platform, artifact);
    if (resolution.kind !== "ready") continue;
    const entry = await book.note(resolution.release, resolution.artifact, platform);
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
  emit({ type: "warning", message: "A download failed", fields: { tag, artifact, reason } });
  const code = error instanceof DewyError ? error.code : undefined;
  if (code === "not-found") return refusal(404, GONE);
  if (error instanceof TimeoutError) {
    return refusal(504, "The upstream registry did not answer in time");
  }
  return refusal(502, "The upstream registry cannot be asked right now");
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
