import { ConfigError } from "../../core/error.ts";
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

export interface TelemetryConfig {
  otlpEndpoint: string | undefined;
  otlpInsecure: boolean;
}

/** The flags that make a running dewy observable: notifiers, the admin server, telemetry. */
export function readObserving(argv: ParsedArgv) {
  const telemetry = readTelemetry(argv);
  return {
    notifiers: argv.texts("notifier").filter((url) => url !== ""),
    notifierFiles: argv.texts("notifier-file").filter((path) => path !== ""),
    telemetry,
    admin: readAdmin(argv, telemetry),
  };
}

function readTelemetry(argv: ParsedArgv): TelemetryConfig | undefined {
  const otlpEndpoint = text(argv, "otlp-endpoint");
  const otlpInsecure = argv.flag("otlp-insecure");
  if (argv.flag("telemetry")) return { otlpEndpoint, otlpInsecure };
  if (otlpEndpoint !== undefined) throw new ConfigError("--otlp-endpoint needs --telemetry");
  if (otlpInsecure) throw new ConfigError("--otlp-insecure needs --telemetry");
  return undefined;
}

/** `dewy container` always opens the admin server, as the Go dewy does. */
function readAdmin(
  argv: ParsedArgv,
  telemetry: TelemetryConfig | undefined,
): AdminConfig | undefined {
  const asked = port(argv, "admin-port", 1);
  const isWanted = argv.command === "container" || asked !== undefined || telemetry !== undefined;
  if (!isWanted) return undefined;
  return {
    port: asked ?? ADMIN_PORT,
    host: textOr(argv, "admin-host"),
    tokenFile: text(argv, "admin-token-file"),
    metricsPublic: argv.flag("metrics-public"),
  };
}
