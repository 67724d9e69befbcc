import { HostError } from "../../core/error.ts";
import { hasCode } from "../../host/files/file_error.ts";
import { answerByFetch } from "../../host/rpc_server/fetch.ts";
import { type OpenPort, openPort } from "../../host/rpc_server/port.ts";
import type { FetchHandler } from "../../host/rpc_server/types.ts";

/** The first port where a dewy opens its admin API. */
export const ADMIN_PORT = 17_539;

const HOST = "127.0.0.1";
const TRIED = 10;
const GRACE_MS = 1_000;

/** An admin API that answers. */
export interface AdminServer {
  /** Its address, such as `http://127.0.0.1:17539`. */
  readonly url: string;
  /** The port. */
  readonly port: number;
  /** Stops to answer. */
  close(): Promise<void>;
}

/**
 * The ports where a dewy may have opened its admin API: several of them can run on one machine.
 *
 * @param first the first one.
 * @returns ten ports.
 */
export function adminPorts(first: number): readonly number[] {
  return Array.from({ length: TRIED }, (_, index) => first + index).filter((one) => one <= 65_535);
}

/**
 * Answers on loopback, on the first port that is free.
 *
 * @param handler the function from request to answer.
 * @param first the port to try first.
 * @returns the server.
 * @throws HostError when no port can be had.
 */
export async function serveAdmin(handler: FetchHandler, first: number): Promise<AdminServer> {
  for (const port of adminPorts(first)) {
    const open = await openUnlessTaken(handler, port);
    if (open === undefined) continue;
    return { url: open.url, port: open.port, close: () => open.close(GRACE_MS) };
  }
  throw new HostError("other programs use all of its ports; choose another --admin-port");
}

async function openUnlessTaken(handler: FetchHandler, port: number): Promise<OpenPort | undefined> {
  try {
    return await openPort({
      port,
      host: HOST,
      tls: undefined,
      handle(exchange) {
        const { request, response } = exchange;
        const authority = request.headers[":authority"] ?? request.headers.host;
        const origin = `http://${typeof authority === "string" ? authority : "unknown.invalid"}`;
        answerByFetch(handler, origin, exchange).catch(() => response.destroy());
      },
    });
  } catch (error) {
    if (error instanceof HostError && hasCode(error.cause, "EADDRINUSE")) return undefined;
    throw error;
  }
}
