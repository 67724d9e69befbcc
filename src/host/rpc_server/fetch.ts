import type { Writable } from "node:stream";
import type { Exchange, NodeRequest, NodeResponse } from "./port.ts";

/** Answers a request. Return `undefined` for 404. */
export type FetchHandler = (
  request: Request,
) => Promise<Response | undefined> | Response | undefined;

/** A client that reads nothing for this time has gone. */
const WRITE_STALL_MS = 60_000;

/** Request bodies are not read. The response is read only as fast as the client takes it. */
export async function answerByFetch(
  handler: FetchHandler,
  origin: string,
  { request: incoming, response: outgoing }: Exchange,
): Promise<void> {
  const gone = new AbortController();
  outgoing.once("close", () => {
    if (outgoing.writableFinished) return;
    gone.abort(new DOMException("The client disconnected", "AbortError"));
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
  // An absolute URL (`GET https://elsewhere/`) names another server.
  if (!path.startsWith("/") || !URL.canParse(path, origin)) return undefined;
  try {
    return new Request(origin + path, { method: incoming.method ?? "GET", headers, signal });
  } catch {
    return undefined; // CONNECT and TRACE.
  }
}

async function send(body: ReadableStream<Uint8Array>, outgoing: Writable): Promise<void> {
  const reader = body.getReader();
  // Cancel the source when the client disconnects, even if it is stalled.
  outgoing.once("close", () => void reader.cancel().catch(() => {}));
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      if (outgoing.destroyed) throw new Error("The client disconnected");
      if (!outgoing.write(value)) await drained(outgoing);
    }
    outgoing.end();
  } catch (error) {
    reader.cancel(error).catch(() => {});
    outgoing.destroy(); // The client sees an incomplete response.
  }
}

function drained(outgoing: Writable): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => settle(new Error("The client stopped reading")), WRITE_STALL_MS);
    const onDrain = (): void => settle();
    const onGone = (): void => settle(new Error("The client disconnected"));
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
