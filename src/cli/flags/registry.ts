import { ConfigError } from "../../core/error.ts";
import { redactUrl } from "../../core/url.ts";
import { exampleOf, readCommon } from "./common.ts";
import type { ParsedArgv } from "./parse.ts";
import { duration, port, text, textOr, unexpected } from "./values.ts";

export type RegistryConfig = ReturnType<typeof readGateway>;

export function readGateway(argv: ParsedArgv) {
  const common = readCommon(argv, readUpstream(argv));
  if (common.verify.length > 0) {
    throw new ConfigError(
      "Cannot use verify= in --upstream: machines verify what they deploy; set --verify there",
    );
  }
  return {
    command: "registry" as const,
    ...common,
    port: listenPort(argv),
    host: textOr(argv, "host"),
    /** Whether addresses other than loopback are allowed without a token. */
    isInsecurePublic: argv.flag("insecure-public"),
    tls: tlsFiles(argv),
    tokenFile: text(argv, "token-file"),
    publicUrl: publicUrl(argv),
    signingKeyFile: text(argv, "signing-key-file"),
    direct: argv.flag("direct"),
    cache: text(argv, "cache"),
    intervalMs: duration(argv, "interval", 1000),
    maxStaleMs: duration(argv, "max-stale", 1),
  };
}

function readUpstream(argv: ParsedArgv): string {
  if (argv.words[0] !== undefined) throw unexpected(argv.words[0], argv.command);
  const url = text(argv, "upstream");
  if (url === undefined) {
    throw new ConfigError(`--upstream is not set; for example: ${exampleOf(argv.command)}`);
  }
  return url;
}

function listenPort(argv: ParsedArgv): number {
  const found = port(argv, "port", 0);
  if (found === undefined) throw new ConfigError("--port is not set; for example: --port 9000");
  return found;
}

function tlsFiles(argv: ParsedArgv): { certFile: string; keyFile: string } | undefined {
  const [certFile, keyFile] = [text(argv, "tls-cert"), text(argv, "tls-key")];
  if (certFile === undefined && keyFile === undefined) return undefined;
  if (certFile !== undefined && keyFile !== undefined) return { certFile, keyFile };
  throw new ConfigError(
    `--tls-${certFile === undefined ? "key" : "cert"} needs --tls-${certFile === undefined ? "cert" : "key"}`,
  );
}

/** Without a trailing slash. */
function publicUrl(argv: ParsedArgv): string | undefined {
  const value = text(argv, "public-url");
  if (value === undefined) return undefined;
  if (!/^https?:\/\/[^/?#@\s]+(\/[^?#\s]*)?$/i.test(value) || !URL.canParse(value)) {
    throw new ConfigError(
      `Invalid value for --public-url "${redactUrl(value)}": expected a URL such as https://registry.example.com`,
    );
  }
  return value.replace(/\/+$/, "");
}
