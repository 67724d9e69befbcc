import { messageOf } from "../../core/message_of.ts";
import type { AdminContainer } from "./container.ts";

/** What a deployer is doing. */
export interface AdminStatus {
  command: "server" | "assets" | "container";
  /** The app. */
  name: string;
  /** The tag that serves; empty: none yet. */
  currentVersion: string;
  /** How many backends clients are sent to, over all ports. */
  backends: number;
  /** Whether the app runs. */
  isRunning: boolean;
}

/** Who knows what the admin API tells. */
export interface AdminSource {
  /**
   * Lists the containers of the app.
   *
   * @param signal ends the question.
   */
  containers(signal: AbortSignal): Promise<readonly AdminContainer[]>;
  /** @returns what the deployer is doing. */
  status(): AdminStatus;
}

/** How long the engine may take for an answer, in milliseconds. */
const ANSWER_MS = 10_000;

/**
 * The admin API: it answers programs of this machine, and nobody's browser. It only tells; there is nothing it could be
 * made to do.
 *
 * @param source who knows.
 * @returns the function from request to answer.
 */
export function adminApi(source: AdminSource): (request: Request) => Promise<Response> {
  const containers = shared(() => source.containers(AbortSignal.timeout(ANSWER_MS)));
  const answers: Readonly<Record<string, () => unknown>> = {
    "/api/containers": async () => ({ containers: await containers() }),
    "/api/status": () => statusAnswer(source.status()),
  };
  return async (request) => {
    const url = new URL(request.url);
    if (isForeign(request, url)) return text(403, "Only programs of this machine may ask\n");
    const answer = Object.hasOwn(answers, url.pathname) ? answers[url.pathname] : undefined;
    if (answer === undefined) return text(404, "Not found\n");
    if (request.method !== "GET") return text(405, "Method not allowed\n", { allow: "GET" });
    try {
      return json(await answer());
    } catch (error) {
      return text(500, `${messageOf(error)}\n`);
    }
  };
}

/** Who asks while an answer is on its way gets the same: nobody can make the engine work by asking often. */
function shared<T>(ask: () => Promise<T>): () => Promise<T> {
  let running: Promise<T> | undefined;
  return () => {
    running ??= ask().finally(() => {
      running = undefined;
    });
    return running;
  };
}

/**
 * A page elsewhere can make a browser send requests to loopback, by name as well (DNS rebinding): the first are told by
 * `Origin` and `Sec-Fetch-Site`, the others by their `Host`.
 */
function isForeign({ headers }: Request, { hostname, origin }: URL): boolean {
  const site = headers.get("sec-fetch-site") ?? "none";
  return (
    !/^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname) ||
    (headers.get("origin") ?? origin) !== origin ||
    (site !== "none" && site !== "same-origin")
  );
}

const COMMAND_NUMBERS = { server: 0, assets: 1, container: 2 } as const;

/** In the words and the order in which the Go dewy answers. */
function statusAnswer({
  command,
  name,
  currentVersion,
  backends,
  isRunning,
}: AdminStatus): unknown {
  return {
    command: COMMAND_NUMBERS[command],
    current_version: currentVersion,
    is_running: isRunning,
    name,
    proxy_backends: backends,
  };
}

function json(value: unknown): Response {
  return new Response(`${JSON.stringify(value)}\n`, {
    headers: { "content-type": "application/json", ...PRIVATE },
  });
}

function text(
  status: number,
  body: string,
  headers: Readonly<Record<string, string>> = {},
): Response {
  return new Response(body, {
    status,
    headers: { "content-type": "text/plain; charset=utf-8", ...PRIVATE, ...headers },
  });
}

const PRIVATE = { "cache-control": "no-store", "x-content-type-options": "nosniff" } as const;
