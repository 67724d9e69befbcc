import { hostname } from "node:os";
import type { AdminContainer } from "../control/admin.ts";
import type { InstanceStatus, Mode } from "../control/protocol.ts";
import type { Clock } from "../core/clock.ts";
import { cached } from "../core/concurrency.ts";
import type { EventSink } from "../core/event.ts";
import { messageOf } from "../core/message_of.ts";
import type { Redact } from "../core/secret.ts";
import { withDeadline } from "../core/timeout.ts";
import { type Access, refusalOf } from "./access.ts";
import { eventStream, json, metricsText, page, text, withoutBody } from "./answer.ts";
import { parseHistoryQuery, readHistory, readRecent } from "./history.ts";
import { LiveSections } from "./live_sections.ts";
import { renderPage, renderSections } from "./page/render.ts";
import { EVENTS_PATH, type PageView } from "./page/view.ts";
import { restricted, restrictedEntry } from "./restricted.ts";

/** What the admin server shows. */
export interface AdminSource {
  mode: Mode;
  /** The working directory, whose journal is shown. */
  root: string;
  status(): Promise<InstanceStatus>;
  /** The number of backends in rotation, over all ports of the proxy. */
  backends?: (() => number) | undefined;
  /** For `/api/containers`. */
  containers?: ((signal: AbortSignal) => Promise<readonly AdminContainer[]>) | undefined;
  /** The last lines of the app's output, oldest first. */
  appLines?: ((signal: AbortSignal) => Promise<readonly string[]>) | undefined;
  /** The last lines of dewy's own log, oldest first. */
  ownLines(): readonly string[];
  /** The text of `/metrics`; absent without `--telemetry`. */
  metrics?: (() => Promise<string>) | undefined;
  /** Receives the events of this process, after which the page may have changed. */
  subscribe(sink: EventSink): () => void;
  redact: Redact;
  clock: Clock;
}

/** An engine that is busy may take a while. */
const ANSWER_TIMEOUT_MS = 10_000;
const LINES_TIMEOUT_MS = 3_000;
/** Answers in the making, also for clients that have left. */
const MAX_ANSWERS = 64;
/** Each reads up to four megabytes. */
const MAX_HISTORIES = 8;

/** The numbers of the Go dewy. */
const COMMANDS: Readonly<Record<Mode, number>> = { server: 0, assets: 1, container: 2 };

type Route = (request: Request) => Promise<Response> | Response;

/** The routes of the admin server. They change nothing: that is what the control socket is for. */
export class AdminRoutes {
  readonly #source: AdminSource;
  readonly #access: Access;
  readonly #signal: AbortSignal;
  readonly #isRestricted: boolean;
  #answers = 0;
  #histories = 0;
  readonly #routes: Readonly<Record<string, Route | undefined>>;

  /** @param signal Aborts when the server closes. */
  constructor(source: AdminSource, access: Access, signal: AbortSignal) {
    this.#source = source;
    this.#access = access;
    this.#signal = signal;
    this.#isRestricted = access.tokens === undefined;
    const { containers, metrics, subscribe, clock } = source;
    // Concurrent requests share one answer, so that they do not overload an engine or the disk.
    const shared = <T>(ask: () => Promise<T>): (() => Promise<T>) => cached(ask, { ms: 0, clock });
    const view = shared(() => this.#view());
    const status = shared(() => this.#status());
    const live = new LiveSections({
      render: async () => renderSections(await view()),
      subscribe,
      clock,
      signal,
    });
    const measured = metrics && shared(() => this.#limited(metrics));
    const listed = containers && shared(() => this.#limited(containers, { signal }));
    this.#routes = {
      "/": async () => {
        const nonce = newNonce();
        return page(renderPage(await view(), { nonce }), nonce);
      },
      [EVENTS_PATH]: (request) => {
        const stream = live.open(async () => (await refusalOf(request, access)) === undefined);
        return stream === undefined ? busy("Too many pages are open") : eventStream(stream);
      },
      "/api/status": async () => json(this.#statusAnswer(await status())),
      "/api/containers": listed && (async () => json({ containers: await listed() })),
      "/api/history": ({ url }) => this.#history(new URL(url).searchParams),
      "/healthz": () => text(200, "ok"),
      "/readyz": async () => {
        const reason = notReady(await status());
        return reason === undefined ? text(200, "ready") : text(503, `not ready: ${reason}`);
      },
      "/metrics": measured && (async () => metricsText(await measured())),
    };
  }

  async answer(request: Request): Promise<Response> {
    const refusal = await refusalOf(request, this.#access);
    const response = refusal ?? (await this.#routed(request));
    return request.method === "HEAD" ? withoutBody(response) : response;
  }

  async #routed(request: Request): Promise<Response> {
    const { pathname } = new URL(request.url);
    const route = this.#routes[pathname];
    if (route === undefined) return text(404, "Not found");
    if (request.method !== "GET" && request.method !== "HEAD") {
      return text(405, "Method not allowed", { allow: "GET, HEAD" });
    }
    const isBusy = this.#answers >= MAX_ANSWERS && pathname !== "/healthz";
    if (isBusy) return busy("Too many requests");
    this.#answers += 1;
    try {
      return await route(request);
    } catch (error) {
      return text(500, this.#source.redact(messageOf(error)));
    } finally {
      this.#answers -= 1;
    }
  }

  #limited<T>(
    work: (signal: AbortSignal) => Promise<T>,
    { ms = ANSWER_TIMEOUT_MS, signal }: { ms?: number; signal?: AbortSignal } = {},
  ): Promise<T> {
    return withDeadline(this.#source.clock, ms, signal, work);
  }

  async #status(): Promise<InstanceStatus> {
    const status = await this.#limited(() => this.#source.status());
    return this.#isRestricted ? restricted(status) : status;
  }

  /** The first fields are those of the Go dewy, in its order. */
  #statusAnswer(status: InstanceStatus): unknown {
    const { mode, backends } = this.#source;
    const { name, ...rest } = status;
    return {
      command: COMMANDS[mode],
      current_version: status.live?.tag ?? "",
      is_running: isServing(status),
      name,
      proxy_backends: backends?.() ?? 0,
      ...rest,
    };
  }

  async #history(params: URLSearchParams): Promise<Response> {
    const { root, clock } = this.#source;
    const query = parseHistoryQuery(params, clock.now());
    if (typeof query === "string") return text(400, query);
    if (this.#histories >= MAX_HISTORIES) return busy("Too many requests for the history");
    this.#histories += 1;
    try {
      const entries = await this.#limited((signal) => readHistory(root, query, signal));
      return json({ entries: this.#isRestricted ? entries.map(restrictedEntry) : entries });
    } finally {
      this.#histories -= 1;
    }
  }

  async #view(): Promise<PageView> {
    const { root, clock } = this.#source;
    const [status, entries, lines] = await Promise.all([
      this.#status(),
      this.#limited(() => readRecent(root)),
      this.#lines(),
    ]);
    return {
      status,
      entries: this.#isRestricted ? entries.map(restrictedEntry) : entries,
      ...lines,
      isRestricted: this.#isRestricted,
      host: hostname(),
      now: clock.now(),
    };
  }

  async #lines(): Promise<Pick<PageView, "appLines" | "ownLines">> {
    if (this.#isRestricted) return {};
    const { appLines, ownLines, redact } = this.#source;
    // The rest of the page does not depend on an engine that is busy.
    const limits = { ms: LINES_TIMEOUT_MS, signal: this.#signal };
    const app = appLines && (await this.#limited(appLines, limits).catch(() => []));
    return { ...(app && { appLines: app.map(redact) }), ownLines: ownLines().map(redact) };
  }
}

/** Whether the app serves; without an app, whether a version is live. */
function isServing({ app, live }: InstanceStatus): boolean {
  if (app === undefined) return live !== undefined;
  return app.health === "serving" || app.health === "degraded";
}

/** Why the live version does not serve, or `undefined` if it does. */
function notReady(status: InstanceStatus): string | undefined {
  if (status.phase.name === "stopping") return "dewy is stopping";
  if (status.live === undefined) return "no version is live";
  return isServing(status) ? undefined : `the app is ${status.app?.health}`;
}

function busy(reason: string): Response {
  return text(503, reason, { "retry-after": "30" });
}

function newNonce(): string {
  return Buffer.from(crypto.getRandomValues(new Uint8Array(16))).toString("base64");
}
