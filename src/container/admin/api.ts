import type { AdminContainer } from "../../admin/container.ts";
import { messageOf } from "../../core/message_of.ts";
import type { ContainerStatus } from "../supervision.ts";

export interface AdminSource {
  /** The app. */
  name: string;
  containers(signal: AbortSignal): Promise<readonly AdminContainer[]>;
  status(): Pick<ContainerStatus, "tag" | "backends" | "isRunning">;
}

/** The number of `dewy container` in the Go dewy. */
const COMMAND = 2;
const ENGINE_TIMEOUT_MS = 10_000;
const PRIVATE = { "cache-control": "no-store", "x-content-type-options": "nosniff" } as const;

/** The read-only admin API. It refuses requests from web pages of other origins. */
export function adminApi(source: AdminSource): (request: Request) => Promise<Response> {
  const containers = shared(() => source.containers(AbortSignal.timeout(ENGINE_TIMEOUT_MS)));
  const answers: Readonly<Record<string, () => unknown>> = {
    "/api/containers": async () => ({ containers: await containers() }),
    "/api/status": () => statusAnswer(source),
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

/** The names and the order of the Go dewy. */
function statusAnswer({ name, status }: AdminSource): unknown {
  const { tag: current_version = "", backends: proxy_backends, isRunning: is_running } = status();
  return { command: COMMAND, current_version, is_running, name, proxy_backends };
}

function json(value: unknown): Response {
  return new Response(`${JSON.stringify(value)}\n`, {
    headers: { "content-type": "application/json", ...PRIVATE },
  });
}

function text(status: number, body: string, headers: Record<string, string> = {}): Response {
  return new Response(body, {
    status,
    headers: { "content-type": "text/plain; charset=utf-8", ...PRIVATE, ...headers },
  });
}
