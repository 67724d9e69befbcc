import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Handler } from "./handler.ts";

export interface Served {
  /** `http://127.0.0.1:<port>`. */
  url: string;
  /** Stops the server and closes all connections. */
  close(): Promise<void>;
}

/** A handler throws this to close the connection instead of answering. */
export class ConnectionReset extends Error {}

/**
 * Serves a handler over real HTTP on a free loopback port. A failing body closes the connection.
 */
export async function serveFetch(handler: Handler): Promise<Served> {
  const server = createServer((incoming, outgoing) => {
    answer(handler, incoming, outgoing).catch(() => outgoing.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answer(
  handler: Handler,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
): Promise<void> {
  const response = await handler(await toRequest(incoming));
  outgoing.writeHead(response.status, [...response.headers].flat());
  outgoing.flushHeaders();
  if (incoming.method !== "HEAD") {
    for await (const chunk of response.body ?? []) {
      if (outgoing.destroyed) return;
      if (!outgoing.write(chunk)) await writableAgain(outgoing);
    }
  }
  outgoing.end();
}

function writableAgain(outgoing: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      outgoing.off("drain", done);
      outgoing.off("close", done);
      resolve();
    };
    outgoing.on("drain", done);
    outgoing.on("close", done);
  });
}

async function toRequest(incoming: IncomingMessage): Promise<Request> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk);
  const headers = new Headers();
  for (let at = 0; at < incoming.rawHeaders.length; at += 2) {
    headers.append(incoming.rawHeaders[at] ?? "", incoming.rawHeaders[at + 1] ?? "");
  }
  const { method = "GET" } = incoming;
  const url = `http://${incoming.headers.host ?? "127.0.0.1"}${incoming.url ?? "/"}`;
  const body = method === "GET" || method === "HEAD" ? null : Buffer.concat(chunks);
  return new Request(url, { method, headers, body });
}
