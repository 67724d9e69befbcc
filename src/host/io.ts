/**
 * What registry drivers get from a host.
 *
 * @module
 */
import { lookup } from "node:dns/promises";
import { readFile } from "node:fs/promises";
import { type Clock, systemClock } from "../core/clock.ts";
import { HostError } from "../core/error.ts";
import type { EventSink } from "../core/event.ts";
import type { Platform } from "../core/types.ts";
import type { RegistryContext } from "../registries/driver.ts";
import { lazyAwsCredentials } from "./credentials/aws.ts";
import { readAwsProfile } from "./credentials/aws_profile.ts";
import { credentialHelper } from "./credentials/docker.ts";
import { systemReason } from "./files/atomic_file.ts";
import { createFetchGuard, createHostFetch } from "./net/fetch.ts";
import { hostPlatform } from "./platform.ts";

/** What {@link createHostIo} is made of. */
export interface HostIoOptions {
  /** Environment variables. */
  env: Readonly<Record<string, string | undefined>>;
  /** The network; {@link createHostFetch} of the environment unless told. */
  fetch?: typeof globalThis.fetch | undefined;
  /** A file of PEM certificates to trust as well, where `fetch` is not given. */
  caFile?: string | undefined;
  /** The machine that artifacts are chosen for; this one unless told. */
  platform?: Platform | undefined;
  /** Time; the system's unless told. */
  clock?: Clock | undefined;
  /** Hears of requests, limits and warnings; nobody unless told. */
  emit?: EventSink | undefined;
  /** Ends everything that is opened with it. */
  signal?: AbortSignal | undefined;
}

/**
 * Gathers what registry drivers need: the network with this machine's proxies and CAs, its files, its platform, and
 * its AWS credentials (profiles, SSO, web identity, container and instance roles), which are looked up only when a
 * driver asks for them; and gRPC over HTTP/2, which is loaded only when a `grpc://` registry is asked.
 *
 * @param options the environment, and what replaces the host's own.
 * @returns the io of a driver; also fit as the options of `openRegistry`.
 * @throws ConfigError when a proxy variable or the CA file cannot be used.
 *
 * @example
 * ```ts
 * import { openRegistry } from "dewy";
 * import { createHostIo, hostRegistries } from "dewy/host";
 *
 * const io = await createHostIo({ env: {} });
 * const registry = openRegistry("file:///srv/releases", { ...io, registries: hostRegistries });
 * if (typeof registry.resolve !== "function") throw new Error("unexpected");
 * ```
 */
export async function createHostIo(options: HostIoOptions): Promise<RegistryContext> {
  const { env, caFile, signal } = options;
  const clock = options.clock ?? systemClock;
  const emit = options.emit ?? (() => {});
  const fetch = options.fetch ?? (await createHostFetch({ env, caFile, emit }));
  const guardFetch =
    options.fetch === undefined ? createFetchGuard(fetch, { env, caFile }) : undefined;
  return {
    platform: options.platform ?? hostPlatform(),
    env,
    fetch,
    clock,
    emit,
    readTextFile,
    awsCredentials: lazyAwsCredentials({ env, clock }),
    awsProfile: () => readAwsProfile(env),
    credentialHelper: credentialHelper(env),
    resolveHost,
    ...(guardFetch === undefined ? {} : { guardFetch }),
    grpcChannel: async (channel) => {
      const { openHttp2Channel } = await import("./net/grpc_transport.ts");
      return openHttp2Channel(channel, { env, caFile, emit });
    },
    ...(signal === undefined ? {} : { signal }),
  };
}

async function resolveHost(host: string): Promise<string[]> {
  return (await lookup(host, { all: true })).map(({ address }) => address);
}

async function readTextFile(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    throw new HostError(`Cannot read "${path}": ${systemReason(cause)}`, {
      cause,
      retryable: false,
    });
  }
}
