/**
 * From Node's request and response to those of the web, for answers that are streamed.
 *
 * @module
 */
import type { NodeRequest, NodeResponse } from "./port.ts";
import type { FetchHandler } from "./types.ts";

/** Who takes nothing for so long has gone, in milliseconds. */
const STALL_MS = 60_000;

/**
 * Answers a request by a function from `Request` to `Response`. Bodies of requests are not read. The body of the answer
 * is read only as fast as the client takes it, and let go when the client does.
 *
 * @param handler the function.
 * @param origin `<scheme>://<host>` of the request's address.
 * @param incoming the request.
 * @param outgoing its answer; cut off when the body fails.
 */
export async function answerByFetch(
  handler: FetchHandler,
  origin: string,
  incoming: NodeRequest,
  outgoing: NodeResponse,
): Promise<void> {
  const gone = new AbortController();
  outgoing.once("close", () => {
    if (!outgoing.writableFinished)
      gone.abort(new DOMException("The client hung up", "AbortError"));
  });
  const request = toRequest(incoming, origin, gone.signal);
  const response = request === undefined ? undefined : await handler(request);
  if (response === undefined) return sendText(outgoing, 404, "Not found\n");
  outgoing.statusCode = response.status;
  for (const [name, value] of response.headers) outgoing.setHeader(name, value);
  if (incoming.method === "HEAD" || response.body === null) {
    await response.body?.cancel();
    outgoing.end();
    return;
  }
  await send(response.body, outgoing);
}

/**
 * Answers with a short text.
 *
 * @param outgoing the answer.
 * @param status its HTTP status.
 * @param text its body.
 */
export function sendText(outgoing: NodeResponse, status: number, text: string): void {
  outgoing.statusCode = status;
  outgoing.setHeader("content-type", "text/plain; charset=utf-8");
  outgoing.end(text);
}

function toRequest(
  incoming: NodeRequest,
  origin: string,
  signal: AbortSignal,
): Request | undefined {
  const headers = new Headers();
  for (const [name, value] of Object.entries(incoming.headers)) {
    if (!name.startsWith(":") && value !== undefined) headers.set(name, String(value));
  }
  const path = incoming.url ?? "/";
  // Only the path of an address is ours: `GET https://elsewhere/` would name another server.
  if (!path.startsWith("/") || !URL.canParse(path, origin)) return undefined;
  try {
    return new Request(origin + path, { method: incoming.method ?? "GET", headers, signal });
  } catch {
    return undefined; // CONNECT, TRACE: not for us.
  }
}

async function send(body: ReadableStream<Uint8Array>, outgoing: ByteSink): Promise<void> {
  const reader = body.getReader();
  // Whoever waits for bytes that never come must still notice that nobody wants them any more.
  outgoing.once("close", () => void reader.cancel().catch(() => {}));
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      if (outgoing.destroyed) throw new Error("The client hung up");
      if (!outgoing.write(value)) await drained(outgoing);
    }
    outgoing.end();
  } catch (error) {
    reader.cancel(error).catch(() => {});
    outgoing.destroy(); // A length that is not reached tells the client that something is missing.
  }
}

interface ByteSink extends Drain {
  readonly destroyed: boolean;
  write(chunk: Uint8Array): boolean;
  end(): unknown;
  destroy(): unknown;
}

interface Drain {
  once(event: "drain" | "close" | "error", listener: () => void): unknown;
  off(event: "drain" | "close" | "error", listener: () => void): unknown;
}

function drained(outgoing: Drain): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => settle(new Error("The client takes no more")), STALL_MS);
    const onDrain = (): void => settle();
    const onGone = (): void => settle(new Error("The client hung up"));
    const settle = (error?: Error): void => {
      clearTimeout(timer);
      outgoing.off("drain", onDrain);
      outgoing.off("close", onGone);
      outgoing.off("error", onGone);
      if (error === undefined) resolve();
      else reject(error);
    };
    outgoing.once("drain", onDrain);
    outgoing.once("close", onGone);
    outgoing.once("error", onGone);
  });
}
