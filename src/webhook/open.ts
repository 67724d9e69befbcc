import type { Clock } from "../core/clock.ts";
import type { EventSink } from "../core/event.ts";
import { isLoopbackHost } from "../core/private_address.ts";
import { SecretFile } from "../host/files/secret_file.ts";
import { webhookHandler } from "./handler.ts";
import { limitReports, limitWakes } from "./limits.ts";
import { type Listener, openListener } from "./listener.ts";

interface WebhookOptions {
  /** Port 0 takes any free port. */
  listen: { host: string; port: number };
  secretFile: string;
  /** Starts a poll. Called at most once in five seconds, and always after the last webhook. */
  onWake(): void;
  emit: EventSink;
  clock: Clock;
}

/** Opens the listener of `--webhook-listen`. Throws if the secret file cannot be used or the port is taken. */
export async function openWebhooks(options: WebhookOptions): Promise<Listener> {
  const { listen, secretFile, onWake, emit, clock } = options;
  const secrets = await SecretFile.open({
    path: secretFile,
    flag: "--webhook-secret-file",
    noun: "secret",
    subject: "webhook secrets",
    emit,
  });
  const closing = new AbortController();
  const wake = limitWakes({ onWake, clock, signal: closing.signal });
  const report = limitReports({ clock, emit });
  const handler = webhookHandler({
    secrets: () => secrets.current(),
    report(outcome) {
      report(outcome);
      if (outcome.outcome === "accepted") wake();
    },
  });
  const { url, close } = await openListener({ listen, handler, clock });
  emit({ type: "listening", url, protocols: "webhooks" });
  if (!isLoopbackHost(listen.host)) {
    const message =
      "Webhook secrets travel in plain text; listen on loopback behind a reverse proxy with TLS";
    emit({ type: "warning", message, fields: { url } });
  }
  return {
    url,
    async close() {
      closing.abort();
      await close();
    },
  };
}
