import type { CommandContext } from "../../agent/context.ts";
import { loadOpener, openConfigured } from "../../agent/open_configured.ts";
import { openSharedAnswers } from "../../agent/shared_cache.ts";
import { surviveUncaught } from "../../agent/uncaught.ts";
import { readVariable } from "../../core/environment.ts";
import { ConfigError } from "../../core/error.ts";
import { messageOf } from "../../core/message_of.ts";
import { isLoopbackHost } from "../../core/private_address.ts";
import type { Platform, Registry } from "../../core/types.ts";
import { Gateway } from "../../gateway/gateway.ts";
import { type RegistryServer, serveRegistry, type TlsFiles } from "../../host/rpc_server/server.ts";
import type { RegistryConfig } from "../flags/registry.ts";

const STOP_GRACE_MS = 30_000;
const MIN_SECRET_BYTES = 32;
const PROTOCOLS = "gRPC, gRPC-Web, Connect; HTTP/2, HTTP/1.1";

export async function runRegistry(
  config: RegistryConfig,
  context: CommandContext,
): Promise<number> {
  const { emit, clock } = context;
  const { stop } = context.signals;
  const work = new AbortController();
  const token = await readToken(config, context);
  checkExposure(config, token);
  const io = { ...context.io, signal: work.signal };
  const gateway = new Gateway({
    open: await openUpstream(config, { ...context, io }),
    intervalMs: config.intervalMs,
    maxStaleMs: config.maxStaleMs,
    secret: await readSecret(config, context),
    publicUrl: config.publicUrl,
    direct: config.direct,
    token,
    clock,
    emit,
    signal: work.signal,
    stopping: stop,
  });
  const tls = await readTls(config, context);
  const { port, host } = config;
  const server = await serveRegistry(gateway, {
    port,
    host,
    tls,
    token,
    fetch: (request) => gateway.fetch(request),
    isServing: () => gateway.isServing(),
    emit,
  });
  const unsubscribe = context.signals.onReload(() => {
    gateway.expire();
    renewTls(config, server, context).catch((error) => warnOfTls(error, context));
  });
  surviveUncaught(context);
  emit({ type: "listening", url: server.url, protocols: PROTOCOLS });
  warnOfExposure(config, token, context);
  await aborted(stop);
  const stoppedBy = context.signals.stoppedBy();
  if (stoppedBy !== undefined) emit({ type: "stopping", signal: stoppedBy });
  unsubscribe();
  await server.close(STOP_GRACE_MS);
  work.abort(stop.reason);
  return 0;
}

/** With `--cache`, gateways share their polls. */
async function openUpstream(
  config: RegistryConfig,
  context: CommandContext,
): Promise<(platform: Platform | undefined) => Registry> {
  const { cache } = config;
  const { io } = context;
  const openLater = await loadOpener(config);
  const shared =
    cache === undefined
      ? (opened: Registry) => opened
      : await openSharedAnswers({ ...config, cache }, context);
  const opened = shared(await openConfigured(config, context), io.platform);
  return (platform) =>
    platform === undefined
      ? opened
      : shared(openLater({ ...context, io: { ...io, platform } }), platform);
}

async function readToken(
  config: RegistryConfig,
  context: CommandContext,
): Promise<string | undefined> {
  const { tokenFile } = config;
  if (tokenFile === undefined) {
    return readVariable(context.env, { name: "DEWY_REGISTRY_TOKEN", value: "token" });
  }
  const token = (await readFile("--token-file", tokenFile, context)).trim();
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  throw new ConfigError(
    `Cannot use --token-file "${tokenFile}": expected one token, without spaces`,
  );
}

async function readSecret(
  config: RegistryConfig,
  context: CommandContext,
): Promise<Uint8Array<ArrayBuffer>> {
  const { signingKeyFile } = config;
  if (signingKeyFile === undefined) return crypto.getRandomValues(new Uint8Array(MIN_SECRET_BYTES));
  const secret = new TextEncoder().encode(
    (await readFile("--signing-key-file", signingKeyFile, context)).trim(),
  );
  if (secret.byteLength >= MIN_SECRET_BYTES) return secret;
  throw new ConfigError(
    `Cannot use --signing-key-file "${signingKeyFile}": it has ${secret.byteLength} bytes, expected at least ${MIN_SECRET_BYTES}; create one with: openssl rand -base64 32`,
  );
}

async function readTls(
  { tls }: RegistryConfig,
  context: CommandContext,
): Promise<TlsFiles | undefined> {
  if (tls === undefined) return undefined;
  return {
    cert: await readFile("--tls-cert", tls.certFile, context),
    key: await readFile("--tls-key", tls.keyFile, context),
  };
}

/** Certificates are renewed every few weeks; that must not require a restart. */
async function renewTls(
  config: RegistryConfig,
  server: RegistryServer,
  context: CommandContext,
): Promise<void> {
  const tls = await readTls(config, context);
  if (tls !== undefined) server.renewTls(tls);
}

function warnOfTls(error: unknown, context: CommandContext): void {
  const reason = messageOf(error);
  const message = "TLS certificate not renewed";
  context.emit({ type: "warning", message, fields: { reason }, important: true });
}

async function readFile(flag: string, path: string, context: CommandContext): Promise<string> {
  if (context.io.readTextFile === undefined)
    throw new ConfigError(`Cannot read "${path}": this runtime cannot read files`);
  try {
    return await context.io.readTextFile(path);
  } catch (cause) {
    throw new ConfigError(`Cannot use ${flag}: ${messageOf(cause)}`, { cause });
  }
}

/** Without a token, any machine that reaches the gateway can read a private registry. */
function checkExposure(config: RegistryConfig, token: string | undefined): void {
  const { host, isInsecurePublic } = config;
  if (isLoopbackHost(host) || token !== undefined || isInsecurePublic) return;
  throw new ConfigError(
    `Cannot use --host "${host}" without a token: anyone who can reach it can download the artifacts; ` +
      "add --token-file, or --insecure-public if you want that",
  );
}

function warnOfExposure(
  config: RegistryConfig,
  token: string | undefined,
  context: CommandContext,
): void {
  const { host, tls, publicUrl, direct } = config;
  if (isLoopbackHost(host)) return;
  const warn = (message: string): void => context.emit({ type: "warning", message });
  if (token === undefined) {
    warn("Anyone who can reach this port can download the artifacts (--insecure-public)");
  } else if (tls === undefined && !publicUrl?.startsWith("https:")) {
    warn(
      "The token travels in plain text; use --tls-cert and --tls-key, or a proxy that speaks TLS and --public-url",
    );
  }
  if (publicUrl === undefined && !direct) {
    warn("Artifact links contain the Host header of each request; set --public-url");
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) =>
    signal.addEventListener("abort", () => resolve(), { once: true }),
  );
}
