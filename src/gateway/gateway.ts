/**
 * The gateway: a registry that other machines ask through this one, with neither credentials nor limits of their own.
 *
 * @module
 */
import type { Clock } from "../core/clock.ts";
import { ConfigError, NotFoundError, RemoteError } from "../core/error.ts";
import { dedupe, type EventSink, fanOut } from "../core/event.ts";
import { messageOf } from "../core/message_of.ts";
import type { Platform, Registry, Resolution } from "../core/types.ts";
import { formatPlatform } from "../platform/platform.ts";
import { AnswerBook, type BookedAnswer } from "./answer_book.ts";
import { ARTIFACTS_PATH, artifactLinks } from "./artifact_link.ts";
import { bearerCheck } from "./bearer_token.ts";
import type { DeployReport, RegistryLogic, VersionAnswer, VersionQuestion } from "./contract.ts";
import { serveDownloads } from "./downloads.ts";
import { gatewayMetrics } from "./metrics.ts";
import type { PollState } from "./polled_registry.ts";
import { openUpstream, type Upstream } from "./upstream.ts";

/** What a gateway is made of. */
export interface GatewayOptions {
  /** Opens the upstream registry for a kind of machine; `undefined`: for any. Nothing is sent by it. */
  open(platform: Platform | undefined): Registry;
  /** The shortest time between two polls, in milliseconds. */
  intervalMs: number;
  /** How old an answer may become while the upstream registry fails, in milliseconds. */
  maxStaleMs: number;
  /** The key that signs addresses of artifacts, at least 32 random bytes. */
  secret: Uint8Array<ArrayBuffer>;
  /** `https://host[:port][/path]` as machines reach the gateway; `undefined`: as each of them says. */
  publicUrl: string | undefined;
  /** Whether answers name the artifact where the upstream registry has it, instead of here. */
  direct: boolean;
  /** The token that `/metrics` asks for; `undefined`: none. */
  token: string | undefined;
  /** Time. */
  clock: Clock;
  /** Hears what happens. */
  emit: EventSink;
  /** Ends what is under way. */
  signal: AbortSignal;
  /** Aborted when the gateway is about to end: `/healthz` says so, while what is under way goes on. */
  stopping: AbortSignal;
}

/** A gateway, yet without a port. */
export interface Gateway {
  /** Answers the calls of the contract. */
  logic: RegistryLogic;
  /**
   * Answers what else is asked by HTTP: `/healthz`, `/metrics` and artifacts.
   *
   * @param request the request.
   * @returns the answer; `undefined` when the path is none of them. It never throws.
   */
  fetch(request: Request): Promise<Response | undefined>;
  /** Whether machines get answers, and the gateway is not about to end. */
  isServing(): boolean;
  /** Makes the next question poll, however short ago the last poll was. */
  expire(): void;
}

/** How many reports are passed on at once. */
const MAX_REPORTS = 8;

/**
 * Makes a gateway.
 *
 * @param options the upstream registry, its pace, and the world.
 * @returns the gateway.
 * @throws ConfigError when the upstream registry cannot be opened.
 */
export function createGateway(options: GatewayOptions): Gateway {
  const { clock, signal, intervalMs, maxStaleMs } = options;
  const metrics = gatewayMetrics();
  const emit = dedupe(fanOut([metrics.sink, options.emit]));
  const upstream = openUpstream(options.open, { intervalMs, maxStaleMs, clock, emit, signal });
  const book = new AnswerBook();
  const links = artifactLinks(options.secret, clock);
  const download = serveDownloads({ upstream, book, links, clock, emit, signal });
  const mayReadMetrics =
    options.token === undefined ? async () => true : bearerCheck(options.token);

  const addressOf = async (entry: BookedAnswer, origin: string | undefined): Promise<string> => {
    const { artifact, release, platform, revision } = entry;
    const [, sha256] = /^sha256:([0-9a-f]{64})$/.exec(artifact.digest ?? "") ?? [];
    const fragment = sha256 === undefined ? "" : `#sha256=${sha256}`;
    if (options.direct) return `${artifact.url}${fragment}`;
    if (origin === undefined) {
      throw new ConfigError("The gateway does not know its own address; it needs --public-url");
    }
    const claim = {
      tag: release.tag,
      name: artifact.name,
      platform: formatPlatform(platform),
      revision,
    };
    return `${await links.make(origin, claim)}${fragment}`;
  };

  const answer = async (
    resolution: Resolution,
    question: VersionQuestion,
  ): Promise<VersionAnswer | undefined> => {
    switch (resolution.kind) {
      case "none": {
        const { reason, message, tag } = resolution;
        emit({ type: "nothing", reason, message });
        // A tag without an artifact and a date says what is missing, and that it is not waited for.
        return reason === "artifact-missing" && tag !== undefined ? { id: "", tag } : undefined;
      }
      case "pending": {
        const { tag, since } = resolution;
        return { id: "", tag, ...(since === undefined ? {} : { createdAt: since }) };
      }
      case "ready": {
        const { release, artifact, notes } = resolution;
        const chosen = { tag: release.tag, artifact: artifact.name };
        if (notes !== undefined) emit({ type: "artifact-chosen", ...chosen, notes });
        const entry = await book.note(release, artifact, platformOf(question));
        const artifactUrl = await addressOf(entry, options.publicUrl ?? question.origin);
        const { id, tag, createdAt } = release;
        return { id, tag, artifactUrl, ...(createdAt === undefined ? {} : { createdAt }) };
      }
    }
  };

  return {
    expire: () => upstream.expire(),
    isServing: () => isWell(healthOf(upstream, options.stopping)),
    logic: {
      async current(question) {
        const platform = platformOf(question);
        const resolution = await asked(upstream, platform, question.artifact);
        const tag = resolution.kind === "ready" ? resolution.release.tag : resolution.tag;
        const name = resolution.kind === "ready" ? resolution.artifact.name : undefined;
        emit({
          type: "version-asked",
          platform: formatPlatform(platform),
          tag,
          address: question.address,
          isStale: upstream.state() === "stale",
        });
        const wanted = question.artifact;
        if (wanted !== undefined && tag !== undefined && wanted !== name) {
          throw new NotFoundError(`${tag} has no artifact "${wanted}"`);
        }
        return answer(resolution, question);
      },
      report: reporter(upstream, book, clock, emit),
    },
    async fetch(request) {
      const { pathname } = new URL(request.url);
      if (pathname === "/healthz") return health(upstream, options.stopping);
      if (pathname.startsWith(ARTIFACTS_PATH) && !options.direct) return download(request);
      if (pathname !== "/metrics") return undefined;
      if (!(await mayReadMetrics(request.headers.get("authorization")))) {
        return new Response("A bearer token is required\n", {
          status: 401,
          headers: { "www-authenticate": "Bearer" },
        });
      }
      const type = "text/plain; version=0.0.4; charset=utf-8";
      return new Response(metrics.text(), { headers: { "content-type": type } });
    },
  };
}

function platformOf({ os, arch }: VersionQuestion): Platform {
  return { os, arch };
}

/** Where the upstream registry is, and what it said, is in the log and none of the callers' business. */
async function asked(
  upstream: Upstream,
  platform: Platform,
  artifact: string | undefined,
): Promise<Resolution> {
  try {
    return await upstream.current(platform, artifact);
  } catch (cause) {
    throw new RemoteError("The upstream registry cannot be asked right now", { cause });
  }
}

function reporter(
  upstream: Upstream,
  book: AnswerBook,
  clock: Clock,
  emit: EventSink,
): (report: DeployReport, signal: AbortSignal) => Promise<void> {
  let running = 0;
  return async ({ id, tag, command, error, address }, signal) => {
    // What was never answered has no business in the registry: a tag becomes part of a path there.
    const entry = book.findRelease(id, tag);
    if (entry === undefined)
      throw new NotFoundError("This gateway has not answered that version lately");
    const host = address ?? "unknown";
    emit({ type: "deploy-reported", tag, command, host, error });
    const registry = upstream.registryFor(entry.platform);
    if (registry.report === undefined) return;
    if (running >= MAX_REPORTS) throw new RemoteError("Too many reports at once; try again");
    running += 1;
    try {
      const at = new Date(clock.now());
      const deployment = { id, tag, command, host, at, ...(error === undefined ? {} : { error }) };
      await registry.report(deployment, { signal });
    } catch (cause) {
      const reason = messageOf(cause);
      emit({ type: "warning", message: "A report was not passed on", fields: { tag, reason } });
      throw new RemoteError("The upstream registry did not take the report", { cause });
    } finally {
      running -= 1;
    }
  };
}

type Health = PollState | "stopping";

function healthOf(upstream: Upstream, stopping: AbortSignal): Health {
  return stopping.aborted ? "stopping" : upstream.state();
}

function isWell(health: Health): boolean {
  return health !== "stopping" && health !== "failing";
}

function health(upstream: Upstream, stopping: AbortSignal): Response {
  const status = healthOf(upstream, stopping);
  return Response.json(
    { status },
    { status: isWell(status) ? 200 : 503, headers: { "cache-control": "no-store" } },
  );
}
