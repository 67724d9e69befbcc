import type { World } from "../../agent/context.ts";
import { openConfigured } from "../../agent/open_configured.ts";
import { surviveUncaught } from "../../agent/survive_uncaught.ts";
import { readVariable } from "../../core/environment.ts";
import { ConfigError } from "../../core/error.ts";
import { messageOf } from "../../core/message_of.ts";
import { isLoopbackHost } from "../../core/private_address.ts";
import type { Platform, Registry } from "../../core/types.ts";
import { redactUrl, splitUrl } from "../../core/url.ts";
import { createGateway } from "../../gateway/gateway.ts";
import { type RegistryServer, serveRegistry, type TlsFiles } from "../../host/rpc_server/server.ts";
import type { RegistryConfig } from "../flags/registry.ts";

/** How long calls and downloads may go on after the signal to stop, in milliseconds. */
const STOP_GRACE_MS = 30_000;
const MIN_SECRET_BYTES = 32;
const PROTOCOLS = "gRPC, gRPC-Web, Connect; HTTP/2, HTTP/1.1";
/** Where artifacts are at addresses that other machines can use. */
const REMOTE_SCHEMES = ["ghr", "s3", "gs", "grpc"];

/**
 * `dewy registry`: serves a registry to other machines until the operator stops it.
 *
 * @param config what the command is told.
 * @param world the world.
 * @returns the exit code.
 * @throws ConfigError for an upstream, or a file of a flag, that cannot be used; HostError when the port is in use.
 */
export async function runRegistry(config: RegistryConfig, world: World): Promise<number> {
  checkDirect(config);
  const { emit, clock } = world;
  const { stop } = world.signals;
  const work = new AbortController();
  const token = await readToken(config, world);
  checkExposure(config, token);
  const gateway = createGateway({
    open: (platform) => openUpstream(config, world, platform, work.signal),
    intervalMs: config.intervalMs,
    maxStaleMs: config.maxStaleMs,
    secret: await readSecret(config, world),
    publicUrl: config.publicUrl,
    direct: config.direct,
    token,
    clock,
    emit,
    signal: work.signal,
    stopping: stop,
  });
  const tls = await readTls(config, world);
  const { port, host } = config;
  const server = await serveRegistry(gateway.logic, {
    port,
    host,
    tls,
    token,
    fetch: gateway.fetch,
    isServing: gateway.isServing,
    emit,
  });
  const unsubscribe = world.signals.onWake(() => {
    gateway.expire();
    renewTls(config, server, world).catch((error) => warnOfTls(error, world));
  });
  surviveUncaught(world);
  emit({ type: "listening", url: server.url, protocols: PROTOCOLS });
  warnOfExposure(config, token, world);
  await aborted(stop);
  const stoppedBy = world.signals.stoppedBy();
  if (stoppedBy !== undefined) emit({ type: "stopping", signal: stoppedBy });
  unsubscribe();
  await server.close(STOP_GRACE_MS);
  work.abort(stop.reason);
  return 0;
}

function openUpstream(
  config: RegistryConfig,
  world: World,
  platform: Platform | undefined,
  signal: AbortSignal,
): Registry {
  const io = { ...world.io, signal, ...(platform === undefined ? {} : { platform }) };
  return openConfigured(config, { ...world, io });
}

function checkDirect({ direct, registry }: RegistryConfig): void {
  const { scheme } = splitUrl(registry, "--upstream");
  if (!direct || REMOTE_SCHEMES.includes(scheme)) return;
  throw new ConfigError(
    `Cannot use --direct with --upstream "${redactUrl(registry)}": other machines cannot reach ${scheme}:// addresses`,
  );
}

async function readToken(config: RegistryConfig, world: World): Promise<string | undefined> {
  const { tokenFile } = config;
  if (tokenFile === undefined) {
    return readVariable(world.env, { name: "DEWY_REGISTRY_TOKEN", value: "token" });
  }
  const token = (await readFile("--token-file", tokenFile, world)).trim();
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  throw new ConfigError(
    `Cannot use --token-file "${tokenFile}": expected one token, without blanks`,
  );
}

async function readSecret(config: RegistryConfig, world: World): Promise<Uint8Array<ArrayBuffer>> {
  const { signingKeyFile } = config;
  if (signingKeyFile === undefined) return crypto.getRandomValues(new Uint8Array(MIN_SECRET_BYTES));
  const secret = new TextEncoder().encode(
    (await readFile("--signing-key-file", signingKeyFile, world)).trim(),
  );
  if (secret.byteLength >= MIN_SECRET_BYTES) return secret;
  throw new ConfigError(
    `Cannot use --signing-key-file "${signingKeyFile}": it has ${secret.byteLength} bytes, expected at least ${MIN_SECRET_BYTES}; make one by: openssl rand -base64 32`,
  );
}

async function readTls({ tls }: RegistryConfig, world: World): Promise<TlsFiles | undefined> {
  if (tls === undefined) return undefined;
  return {
    cert: await readFile("--tls-cert", tls.certFile, world),
    key: await readFile("--tls-key", tls.keyFile, world),
  };
}

/** A certificate is renewed every few weeks; nobody should have to restart for that. */
async function renewTls(
  config: RegistryConfig,
  server: RegistryServer,
  world: World,
): Promise<void> {
  const tls = await readTls(config, world);
  if (tls !== undefined) server.renewTls(tls);
}

function warnOfTls(error: unknown, world: World): void {
  const reason = messageOf(error);
  const message = "The TLS certificate was not renewed";
  world.emit({ type: "warning", message, fields: { reason }, important: true });
}

async function readFile(flag: string, path: string, world: World): Promise<string> {
  if (world.io.readTextFile === undefined)
    throw new ConfigError(`Cannot read "${path}": no files here`);
  try {
    return await world.io.readTextFile(path);
  } catch (cause) {
    throw new ConfigError(`Cannot use ${flag}: ${messageOf(cause)}`, { cause });
  }
}

/** A registry may be private, and everybody who reaches the gateway can read what its credentials open. */
function checkExposure(config: RegistryConfig, token: string | undefined): void {
  const { host, isInsecurePublic } = config;
  if (isLoopbackHost(host) || token !== undefined || isInsecurePublic) return;
  throw new ConfigError(
    `Cannot use --host "${host}" without a token: anyone who can reach it could download the artifacts; ` +
      "add --token-file, or --insecure-public if that is what you want",
  );
}

function warnOfExposure(config: RegistryConfig, token: string | undefined, world: World): void {
  const { host, tls, publicUrl, direct } = config;
  if (isLoopbackHost(host)) return;
  const warn = (message: string): void => world.emit({ type: "warning", message });
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
