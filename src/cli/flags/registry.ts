import { ConfigError } from "../../core/error.ts";
import { redactUrl, splitUrl } from "../../core/url.ts";
import { type CommonConfig, exampleOf, readCommon } from "./common.ts";
import type { ParsedArgv } from "./parse.ts";
import { duration, port, text, textOr, unexpected } from "./values.ts";

/** What `dewy registry` is told. */
export interface RegistryConfig extends CommonConfig {
  command: "registry";
  /** The port; 0: any that is free. */
  port: number;
  /** The address to listen on. Defaults to 127.0.0.1. */
  host: string;
  /** Whether other addresses than loopback need no token. */
  isInsecurePublic: boolean;
  /** PEM files of the certificate and its key; `undefined`: plain text. */
  tls: { certFile: string; keyFile: string } | undefined;
  /** A file of the bearer token. */
  tokenFile: string | undefined;
  /** How machines reach the gateway, without a last slash; `undefined`: as each of them calls it. */
  publicUrl: string | undefined;
  /** A file of the key that signs addresses. */
  signingKeyFile: string | undefined;
  /** Answer with the upstream's own addresses. */
  direct: boolean;
  /** Milliseconds between polls. The default is 10 seconds. */
  intervalMs: number;
  /** How long an answer lasts while the upstream fails, in milliseconds. The default is an hour. */
  maxStaleMs: number;
}

/**
 * Reads the command line of `dewy registry`.
 *
 * @param argv the command line.
 * @returns what the command is told.
 * @throws ConfigError that names the flag.
 */
export function readGateway(argv: ParsedArgv): RegistryConfig {
  return {
    command: "registry",
    ...readCommon(argv, readUpstream(argv)),
    port: listenPort(argv),
    host: textOr(argv, "host"),
    isInsecurePublic: argv.flag("insecure-public"),
    tls: tlsFiles(argv),
    tokenFile: text(argv, "token-file"),
    publicUrl: publicUrl(argv),
    signingKeyFile: text(argv, "signing-key-file"),
    direct: argv.flag("direct"),
    intervalMs: duration(argv, "interval", 1000),
    maxStaleMs: duration(argv, "max-stale", 1),
  };
}

function readUpstream(argv: ParsedArgv): string {
  if (argv.words[0] !== undefined) throw unexpected(argv.words[0], argv.command);
  const url = argv.text("upstream");
  if (url === "") {
    throw new ConfigError(`--upstream is not set; for example: ${exampleOf(argv.command)}`);
  }
  splitUrl(url, "--upstream");
  return url;
}

function listenPort(argv: ParsedArgv): number {
  const found = port(argv, "port", 0);
  if (found === undefined) throw new ConfigError("--port is not set; for example: --port 9000");
  return found;
}

function tlsFiles(argv: ParsedArgv): RegistryConfig["tls"] {
  const [certFile, keyFile] = [text(argv, "tls-cert"), text(argv, "tls-key")];
  if (certFile === undefined && keyFile === undefined) return undefined;
  if (certFile !== undefined && keyFile !== undefined) return { certFile, keyFile };
  throw new ConfigError(
    `--tls-${certFile === undefined ? "key" : "cert"} needs --tls-${certFile === undefined ? "cert" : "key"}`,
  );
}

function publicUrl(argv: ParsedArgv): string | undefined {
  const value = text(argv, "public-url");
  if (value === undefined) return undefined;
  if (!/^https?:\/\/[^/?#@\s]+(\/[^?#\s]*)?$/i.test(value) || !URL.canParse(value)) {
    throw new ConfigError(
      `Cannot use --public-url "${redactUrl(value)}": expected an address such as https://registry.example.com`,
    );
  }
  return value.replace(/\/+$/, "");
}
