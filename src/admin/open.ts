import { adminPorts } from "../control/admin.ts";
import { AbortedError } from "../core/error.ts";
import type { EventSink } from "../core/event.ts";
import { messageOf } from "../core/message_of.ts";
import { isLoopbackHost } from "../core/private_address.ts";
import { SecretFile } from "../host/files/secret_file.ts";
import { type Listener, openListener } from "./listener.ts";
import { AdminRoutes, type AdminSource } from "./routes.ts";

export interface AdminOptions extends AdminSource {
  config: {
    /** The first of the ten ports to try. */
    port: number;
    host: string;
    tokenFile: string | undefined;
    /** Whether `/metrics` needs no token. */
    metricsPublic: boolean;
  };
  emit: EventSink;
}

export interface AdminServer {
  /** Absent if it could not be opened. */
  url: string | undefined;
  close(): Promise<void>;
}

/** Opens the status page and the admin API. If no port can be opened, dewy warns and continues without them. */
export async function openAdmin(options: AdminOptions): Promise<AdminServer> {
  const { config, emit } = options;
  const { host, port, metricsPublic } = config;
  const tokens = await openTokens(options);
  const closing = new AbortController();
  const access = { host, tokens, metricsPublic };
  const routes = new AdminRoutes(options, access, closing.signal);
  const ports = adminPorts(port);
  let listener: Listener;
  try {
    listener = await openListener((request) => routes.answer(request), { host, ports });
  } catch (error) {
    const fields = { ports: `${ports[0]}-${ports.at(-1)}`, reason: messageOf(error) };
    const message = "Admin API not available";
    emit({ type: "warning", important: true, message, fields });
    return { url: undefined, close: async () => {} };
  }
  const { url } = listener;
  emit({ type: "listening", url, protocols: "admin API" });
  if (!isLoopbackHost(host)) {
    const message =
      "The admin token travels in plain text; listen on loopback behind a reverse proxy with TLS";
    emit({ type: "warning", message, fields: { url } });
  }
  return {
    url,
    async close() {
      closing.abort(new AbortedError("the admin API closes"));
      await listener.close();
    },
  };
}

async function openTokens({ config, emit }: AdminOptions): Promise<SecretFile | undefined> {
  const { tokenFile: path } = config;
  if (path === undefined) return undefined;
  const flag = "--admin-token-file";
  return SecretFile.open({ path, flag, noun: "token", subject: "admin tokens", emit });
}
