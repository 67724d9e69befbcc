import type { Clock } from "../core/clock.ts";
import { DewyError } from "../core/error.ts";
import type { EventSink } from "../core/event.ts";
import { messageOf } from "../core/message_of.ts";
import type { Platform } from "../core/types.ts";
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

/** How many downloads run at once; who comes later is asked to come again. */
const MAX_DOWNLOADS = 256;
const RETRY_AFTER_S = 5;

/**
 * Serves artifacts by signed address, straight from the upstream registry.
 *
 * @param options the world.
 * @returns a function from request to answer; it never throws.
 */
export function serveDownloads(options: DownloadOptions): (request: Request) => Promise<Response> {
  let running = 0;

  const send = async (request: Request, entry: BookedAnswer): Promise<Response> => {
    const { artifact, release, platform, revision } = entry;
    const startedAt = options.clock.now();
    const response = await answerArtifact(request, artifact, revision, ({ offset, signal }) =>
      options.upstream
        .registryFor(platform)
        .open(artifact, { offset, signal: AbortSignal.any([signal, options.signal]) }),
    );
    if (response.body === null) return response;
    running += 1;
    const body = observed(response.body, (bytes, isComplete) => {
      running -= 1;
      const durationMs = options.clock.now() - startedAt;
      const { tag } = release;
      options.emit({
        type: "artifact-sent",
        tag,
        artifact: artifact.name,
        bytes,
        isComplete,
        durationMs,
      });
    });
    return new Response(body, response);
  };

  return async (request) => {
    if (request.method !== "GET" && request.method !== "HEAD") {
      return refusal(405, "Only GET and HEAD", { allow: "GET, HEAD" });
    }
    const claim = await options.links.read(new URL(request.url));
    if (claim === undefined) return refusal(403, "This address is not signed by this gateway");
    if (claim === "expired")
      return refusal(403, "This address has expired; ask for the version again");
    try {
      const entry = await findClaimed(claim, options);
      if (entry === undefined) return refusal(404, "This artifact is not there any more");
      if (running >= MAX_DOWNLOADS) {
        return refusal(503, "Too many downloads", { "retry-after": String(RETRY_AFTER_S) });
      }
      return await send(request, entry);
    } catch (error) {
      return failure(error, claim, options.emit);
    }
  };
}

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
  if (code === "not-found") return refusal(404, "This artifact is not there any more");
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
