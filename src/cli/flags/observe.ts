import { isIPv6 } from "node:net";
import { ConfigError } from "../../core/error.ts";
import { isLoopbackHost } from "../../core/private_address.ts";
import type { ParsedArgv } from "./parse.ts";
import { port, text, textOr } from "./values.ts";

/** The first of the ten ports to try for the admin server. */
export const ADMIN_PORT = 17_539;

export interface AdminConfig {
  /** The first of the ten ports to try. */
  port: number;
  host: string;
  tokenFile: string | undefined;
  /** Whether `/metrics` needs no token. */
  metricsPublic: boolean;
}

/** The flags that make a running dewy observable: notifiers, the admin server, telemetry. */
export function readObserving(argv: ParsedArgv) {
  const telemetry = readTelemetry(argv);
  return {
    notifiers: argv.texts("notifier").filter((url) => url !== ""),
    notifierFiles: argv.texts("notifier-file").filter((path) => path !== ""),
    telemetry,
    admin: readAdmin(argv, telemetry !== undefined),
  };
}

function readTelemetry(argv: ParsedArgv) {
  const otlpEndpoint = text(argv, "otlp-endpoint");
  const otlpInsecure = argv.flag("otlp-insecure");
  if (argv.flag("telemetry")) return { otlpEndpoint, otlpInsecure };
  if (otlpEndpoint !== undefined) throw new ConfigError("--otlp-endpoint needs --telemetry");
  if (otlpInsecure) throw new ConfigError("--otlp-insecure needs --telemetry");
  return undefined;
}

/** `dewy container` always opens the admin server, as the Go dewy does. */
function readAdmin(argv: ParsedArgv, hasTelemetry: boolean): AdminConfig | undefined {
  const asked = port(argv, "admin-port", 1);
  const metricsPublic = argv.flag("metrics-public");
  if (metricsPublic && !hasTelemetry) {
    throw new ConfigError("--metrics-public needs --telemetry: without it, there are no metrics");
  }
  const isWanted = argv.command === "container" || asked !== undefined || hasTelemetry;
  if (!isWanted || exitsAtOnce(argv)) return withoutAdmin(argv);
  const host = readHost(argv);
  const tokenFile = text(argv, "admin-token-file");
  if (tokenFile === undefined && !isLoopbackHost(host)) {
    throw new ConfigError(
      `Cannot use --admin-host "${host}" without --admin-token-file: anyone who can reach it could read the status; create a token with: openssl rand -hex 32`,
    );
  }
  return { port: asked ?? ADMIN_PORT, host, tokenFile, metricsPublic };
}

/** With `--once`, only an app keeps dewy running. */
function exitsAtOnce({ command, words, rest, flag }: ParsedArgv): boolean {
  const hasApp = command === "container" || (command === "server" && words.concat(rest).length > 0);
  return flag("once") && !hasApp;
}

/** Rejects flags that would have no effect. */
function withoutAdmin(argv: ParsedArgv): undefined {
  const names = ["admin-port", "admin-host", "admin-token-file"];
  const given = names.find((name) => text(argv, name) !== undefined);
  if (given === undefined) return undefined;
  throw new ConfigError(
    exitsAtOnce(argv)
      ? `--${given} needs polling: remove it, or --once`
      : `--${given} needs --admin-port or --telemetry, which open the admin server`,
  );
}

/** Reads `--admin-host`; returns an IPv6 address without brackets. */
function readHost(argv: ParsedArgv): string {
  const value = textOr(argv, "admin-host");
  const host = value.replace(/^\[(.*)\]$/, "$1");
  if (/^[\w.-]+$/.test(host) || isIPv6(host)) return host;
  throw new ConfigError(
    `Invalid value for --admin-host "${value}": expected an address of this machine, such as 0.0.0.0 or ::1; --admin-port sets the port`,
  );
}
