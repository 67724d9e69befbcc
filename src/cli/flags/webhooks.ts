import { ConfigError } from "../../core/error.ts";
import { messageOf } from "../../core/message_of.ts";
import { type ListenSpec, parseListenSpecs } from "../../host/sockets/listen_spec.ts";
import type { ParsedArgv } from "./parse.ts";
import { text } from "./values.ts";

export interface WebhooksConfig {
  listen: { host: string; port: number };
  secretFile: string;
}

/** Reads `--webhook-listen` and `--webhook-secret-file`. A port alone is a port of loopback. */
export function readWebhooks(argv: ParsedArgv): WebhooksConfig | undefined {
  const address = text(argv, "webhook-listen");
  const secretFile = text(argv, "webhook-secret-file");
  if (address === undefined && secretFile === undefined) return undefined;
  if (address === undefined) {
    throw new ConfigError(
      "--webhook-secret-file needs --webhook-listen: the address that receives webhooks, such as 9001",
    );
  }
  if (secretFile === undefined) {
    throw new ConfigError(
      "--webhook-listen needs --webhook-secret-file: without a secret, anyone could start polls; create one with: openssl rand -hex 32",
    );
  }
  if (argv.flag("once")) {
    throw new ConfigError("--webhook-listen needs polling: remove it, or --once");
  }
  return { listen: parseAddress(address), secretFile };
}

function parseAddress(address: string): WebhooksConfig["listen"] {
  const [spec, ...more] = specsOf(address);
  if (spec?.kind !== "tcp" || more.length > 0) {
    throw invalid(address, "expected one address such as 9001, 127.0.0.1:9001 or [::]:9001");
  }
  return { host: spec.host ?? "127.0.0.1", port: spec.port };
}

function specsOf(address: string): readonly ListenSpec[] {
  try {
    return parseListenSpecs([address]);
  } catch (cause) {
    throw invalid(address, messageOf(cause));
  }
}

function invalid(address: string, reason: string): ConfigError {
  return new ConfigError(`Invalid value for --webhook-listen "${address}": ${reason}`);
}
