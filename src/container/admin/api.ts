import { messageOf } from "../../core/message_of.ts";
import type { AdminContainer } from "./container.ts";

export interface AdminStatus {
  command: "server" | "assets" | "container";
  /** The app. */
  name: string;
  /** The tag that serves. */
  currentVersion: string | undefined;
  /** The number of backends in rotation, over all ports. */
  backends: number;
  isRunning: boolean;
}

export interface AdminSource {
  containers(signal: AbortSignal): Promise<readonly AdminContainer[]>;
  status(): AdminStatus;
}

const ENGINE_TIMEOUT_MS = 10_000;

/** The read-only admin API. It refuses requests from web pages of other origins. */
export function adminApi(source: AdminSource): (request: Request) => Promise<Response> {
  const containers = shared(() => source.containers(AbortSignal.timeout(ENGINE_TIMEOUT_MS)));
  const answers: Readonly<Record<string, () => unknown>> = {
    "/api/containers": async () => ({ containers: await containers() }),
    "/api/status": () => statusAnswer(source.status()),
  };
  return async (request) => {
    const url = new URL(request.url);
    if (isForeign(request, url)) return text(403, "Only programs on this machine are allowed\n");
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

/** Shares one answer among concurrent requests, to protect the engine from overload. */
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
 * A web page can make the browser send requests to loopback. `Origin` and `Sec-Fetch-Site` reveal
 * them, and `Host` reveals DNS rebinding.
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

/** The names and the order of the Go dewy. */
function statusAnswer({
  command,
  name,
  currentVersion,
  backends,
  isRunning,
}: AdminStatus): unknown {
  return {
    command: COMMAND_NUMBERS[command],
    current_version: currentVersion ?? "",
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
