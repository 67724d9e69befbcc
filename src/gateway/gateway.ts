import type { Context } from "../core/context.ts";
import { ConfigError, DewyError, NotFoundError, RemoteError } from "../core/error.ts";
import { dedupe, type EventSink, fanOut } from "../core/event.ts";
import { messageOf } from "../core/message_of.ts";
import type { Artifact, Platform, Registry, Resolution } from "../core/types.ts";
import { formatPlatform } from "../platform/platform.ts";
import { AnswerBook, type BookedAnswer } from "./answer_book.ts";
import { ARTIFACTS_PATH, type ArtifactLinks, artifactLinks } from "./artifact_link.ts";
import { bearerCheck } from "./bearer_token.ts";
import type {
  AnnouncedVersion,
  DeployReport,
  RegistryLogic,
  VersionAnswer,
  VersionQuestion,
} from "./contract.ts";
import { serveDownloads } from "./downloads.ts";
import { type GatewayMetrics, gatewayMetrics } from "./metrics.ts";
import type { PollState } from "./polled_registry.ts";
import { openUpstream, type Upstream } from "./upstream.ts";
import { VersionFeeds } from "./version_feeds.ts";

export interface GatewayOptions extends Pick<Context, "clock" | "emit"> {
  /** Opens the upstream registry for a platform or, with `undefined`, for all of them. Must not send requests. */
  open(platform: Platform | undefined): Registry;
  intervalMs: number;
  /** How old an answer may be while the upstream registry fails, in milliseconds. */
  maxStaleMs: number;
  /** The key that signs artifact URLs, at least 32 random bytes. */
  secret: Uint8Array<ArrayBuffer>;
  /** `https://host[:port][/path]` of the gateway; `undefined` uses the origin of each request. */
  publicUrl: string | undefined;
  direct: boolean;
  /** The token that `/metrics` requires. */
  token: string | undefined;
  signal: AbortSignal;
  /** Aborted when a shutdown begins: `/healthz` reports it, while running work continues. */
  stopping: AbortSignal;
}

const MAX_REPORTS = 8;
const MAX_FILES = 64;
const MAX_FILE_BYTES = 4 * 2 ** 20;

type Health = PollState | "stopping";

/** Serves a registry to clients that have neither its credentials nor a share of its rate limit. */
export class Gateway implements RegistryLogic {
  readonly #options: GatewayOptions;
  readonly #metrics: GatewayMetrics = gatewayMetrics();
  readonly #emit: EventSink;
  readonly #upstream: Upstream;
  readonly #feeds: VersionFeeds;
  readonly #book = new AnswerBook();
  readonly #links: ArtifactLinks;
  readonly #download: (request: Request) => Promise<Response>;
  readonly #mayReadMetrics: (authorization: string | null) => Promise<boolean>;
  #reports = 0;
  /** Whether the last report cannot be passed on, as with a token that may only read. */
  #isRefused = false;

  constructor(options: GatewayOptions) {
    const { clock, signal, intervalMs, maxStaleMs, token } = options;
    this.#options = options;
    const emit = dedupe(fanOut([this.#metrics.sink, options.emit]), clock);
    this.#emit = emit;
    this.#upstream = openUpstream(options.open, { intervalMs, maxStaleMs, clock, emit, signal });
    const ask = async (platform: Platform): Promise<AnnouncedVersion> =>
      announced(await this.#resolve(platform, undefined));
    this.#feeds = new VersionFeeds({ ask, intervalMs, clock });
    this.#links = artifactLinks(options.secret, clock);
    this.#download = serveDownloads({
      upstream: this.#upstream,
      book: this.#book,
      links: this.#links,
      clock,
      emit,
      signal,
    });
    this.#mayReadMetrics = token === undefined ? async () => true : bearerCheck(token);
  }

  async current(question: VersionQuestion): Promise<VersionAnswer | undefined> {
    const { artifact: wanted, address } = question;
    const platform = platformOf(question);
    const resolution = await this.#resolve(platform, wanted);
    if (wanted === undefined) this.#feeds.offer(platform, announced(resolution));
    const tag = resolution.kind === "ready" ? resolution.release.tag : resolution.tag;
    const name = resolution.kind === "ready" ? resolution.artifact.name : undefined;
    const isStale = this.#upstream.state() === "stale";
    this.#emit({
      type: "version-asked",
      platform: formatPlatform(platform),
      tag,
      address,
      isStale,
    });
    if (wanted !== undefined && tag !== undefined && wanted !== name) {
      throw new NotFoundError(`${tag} has no artifact "${wanted}"`);
    }
    return this.#answer(resolution, question);
  }

  watch(question: VersionQuestion, signal: AbortSignal): AsyncIterable<AnnouncedVersion> {
    return this.#feeds.watch(platformOf(question), signal);
  }

  async report(
    { id, tag, command, error, address }: DeployReport,
    signal: AbortSignal,
  ): Promise<void> {
    // A version that was never answered must not reach the registry: a tag becomes part of a path there.
    const entry = this.#book.findRelease(id, tag);
    if (entry === undefined)
      throw new NotFoundError("This gateway has not answered that version recently");
    const host = address ?? "unknown";
    this.#emit({ type: "deploy-reported", tag, command, host, error });
    const registry = this.#upstream.registryFor(entry.platform);
    if (registry.report === undefined) return;
    if (this.#reports >= MAX_REPORTS) throw new RemoteError("Too many reports at once; try again");
    this.#reports += 1;
    try {
      const at = new Date(this.#options.clock.now());
      // Machines behind one address report in the same millisecond.
      const nanoseconds = Math.floor(Math.random() * 1_000_000);
      await registry.report({ id, tag, command, host, at, nanoseconds, error }, { signal });
      this.#isRefused = false;
    } catch (cause) {
      const reason = messageOf(cause);
      const isLasting = cause instanceof DewyError && !cause.retryable && cause.code !== "aborted";
      const isKnown = isLasting && this.#isRefused;
      this.#isRefused = isLasting;
      if (!isKnown) {
        this.#emit({ type: "warning", message: "Report not passed on", fields: { tag, reason } });
      }
      // The machine cannot help it, and would retry.
      if (isLasting) return;
      throw new RemoteError("The upstream registry did not accept the report", { cause });
    } finally {
      this.#reports -= 1;
    }
  }

  /** Serves `/healthz`, `/metrics` and artifacts; returns `undefined` for other paths. It never throws. */
  async fetch(request: Request): Promise<Response | undefined> {
    const { pathname } = new URL(request.url);
    if (pathname === "/healthz") return this.#healthResponse();
    if (pathname.startsWith(ARTIFACTS_PATH) && !this.#options.direct)
      return this.#download(request);
    if (pathname === "/metrics") return this.#metricsResponse(request);
    return undefined;
  }

  isServing(): boolean {
    return isHealthy(this.#health());
  }

  expire(): void {
    this.#upstream.expire();
    this.#feeds.hurry();
  }

  async #resolve(platform: Platform, artifact: string | undefined): Promise<Resolution> {
    try {
      return await this.#upstream.current(platform, artifact);
    } catch (cause) {
      // The log has the location of the upstream registry and its error; callers must not see them.
      throw new RemoteError("The upstream registry is unavailable", { cause });
    }
  }

  async #answer(
    resolution: Resolution,
    question: VersionQuestion,
  ): Promise<VersionAnswer | undefined> {
    switch (resolution.kind) {
      case "none": {
        const { reason, message, tag } = resolution;
        this.#emit({ type: "nothing", reason, message });
        // A tag without an artifact and a date shows the client what is missing, so that it does not wait.
        return reason === "artifact-missing" && tag !== undefined ? { id: "", tag } : undefined;
      }
      case "pending":
        return { id: "", tag: resolution.tag, createdAt: resolution.since };
      case "ready": {
        const { release, artifact, files, notes } = resolution;
        const { id, tag, createdAt } = release;
        if (notes !== undefined) {
          this.#emit({ type: "artifact-chosen", tag, artifact: artifact.name, notes });
        }
        const urlOf = async (file: Artifact): Promise<string> => {
          const entry = await this.#book.add(release, file, platformOf(question));
          return this.#artifactUrl(entry, this.#options.publicUrl ?? question.origin);
        };
        const artifactUrl = await urlOf(artifact);
        const fileUrls = files && (await Promise.all(smallFiles(files).map(urlOf)));
        return { id, tag, artifactUrl, fileUrls, createdAt };
      }
    }
  }

  async #artifactUrl(entry: BookedAnswer, origin: string | undefined): Promise<string> {
    const { artifact, release, platform, revision } = entry;
    const [, sha256] = /^sha256:([0-9a-f]{64})$/.exec(artifact.digest ?? "") ?? [];
    const fragment = sha256 === undefined ? "" : `#sha256=${sha256}`;
    if (this.#options.direct) return `${artifact.url}${fragment}`;
    if (origin === undefined) {
      throw new ConfigError("The gateway does not know its own address; set --public-url");
    }
    const claim = {
      tag: release.tag,
      name: artifact.name,
      platform: formatPlatform(platform),
      revision,
    };
    return `${await this.#links.make(origin, claim)}${fragment}`;
  }

  #health(): Health {
    return this.#options.stopping.aborted ? "stopping" : this.#upstream.state();
  }

  #healthResponse(): Response {
    const status = this.#health();
    return Response.json(
      { status },
      { status: isHealthy(status) ? 200 : 503, headers: { "cache-control": "no-store" } },
    );
  }

  async #metricsResponse(request: Request): Promise<Response> {
    if (!(await this.#mayReadMetrics(request.headers.get("authorization")))) {
      return new Response("A bearer token is required\n", {
        status: 401,
        headers: { "www-authenticate": "Bearer" },
      });
    }
    const type = "text/plain; version=0.0.4; charset=utf-8";
    return new Response(this.#metrics.text(), { headers: { "content-type": type } });
  }
}

/** The `id` and the tag of the answer that a resolution becomes. */
function announced(resolution: Resolution): AnnouncedVersion {
  switch (resolution.kind) {
    case "ready":
      return { id: resolution.release.id, tag: resolution.release.tag };
    case "pending":
      return { id: "", tag: resolution.tag };
    case "none":
      return {
        id: "",
        tag: resolution.reason === "artifact-missing" ? (resolution.tag ?? "") : "",
      };
  }
}

/** The files that can be signatures, bundles or checksums. */
function smallFiles(files: readonly Artifact[]): readonly Artifact[] {
  return files.filter(({ size = 0 }) => size <= MAX_FILE_BYTES).slice(0, MAX_FILES);
}

function platformOf({ os, arch }: VersionQuestion): Platform {
  return { os, arch };
}

function isHealthy(health: Health): boolean {
  return health !== "stopping" && health !== "failing";
}
