import type { CommandContext } from "../../agent/context.ts";
import { HostError } from "../../core/error.ts";
import { messageOf } from "../../core/message_of.ts";
import { hasCode } from "../../host/files/file_error.ts";
import { answerByFetch } from "../../host/rpc_server/fetch.ts";
import { type OpenPort, openPort } from "../../host/rpc_server/port.ts";
import type { FetchHandler } from "../../host/rpc_server/types.ts";
import type { ContainerConfig } from "../config.ts";
import type { ContainerSupervision } from "../supervision.ts";
import { adminApi } from "./api.ts";

const HOST = "127.0.0.1";
const PORTS = 10;
const GRACE_MS = 1_000;

interface AdminServer extends Pick<OpenPort, "url" | "port"> {
  close(): Promise<void>;
}

/**
 * Opens the admin API of `dewy container` and returns the function that closes it. If it cannot be
 * opened, dewy warns and continues without it.
 */
export async function openContainerAdmin(
  { app, adminPort }: Pick<ContainerConfig, "app" | "adminPort">,
  supervision: Pick<ContainerSupervision, "containers" | "status">,
  { emit }: Pick<CommandContext, "emit">,
): Promise<() => Promise<void>> {
  const handler = adminApi({
    name: app,
    containers: (signal) => supervision.containers(signal),
    status: () => supervision.status(),
  });
  try {
    const server = await serveAdmin(handler, adminPort);
    emit({ type: "listening", url: server.url, protocols: "admin API" });
    return () => server.close();
  } catch (error) {
    const ports = adminPorts(adminPort);
    const fields = { ports: `${ports[0]}-${ports.at(-1)}`, reason: messageOf(error) };
    emit({ type: "warning", message: "Admin API not available", fields });
    return async () => {};
  }
}

/** The ports to try: each dewy on a machine takes the first free one. */
export function adminPorts(first: number): readonly number[] {
  return Array.from({ length: PORTS }, (_, index) => first + index).filter((one) => one <= 65_535);
}

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
