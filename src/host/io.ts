import { readFile } from "node:fs/promises";
import { type Clock, systemClock } from "../core/clock.ts";
import { HostError } from "../core/error.ts";
import type { EventSink } from "../core/event.ts";
import type { Platform } from "../core/types.ts";
import type { AwsCredentials, HostServices, RegistryContext } from "../registries/driver.ts";
import { systemReason } from "./files/atomic_file.ts";
import { createFetchGuard, createHostFetch } from "./net/fetch.ts";
import { hostPlatform } from "./platform.ts";

export interface HostServiceOptions {
  env: Readonly<Record<string, string | undefined>>;
  /** A file of PEM certificates to trust in addition. */
  caFile?: string | undefined;
  clock: Clock;
  emit: EventSink;
}

/** The services of a host for drivers, in addition to the network. Each loads what it needs at its first use. */
export function hostServices({ env, caFile, clock, emit }: HostServiceOptions): HostServices {
  let awsCredentials: Promise<() => Promise<AwsCredentials | undefined>> | undefined;
  return {
    readTextFile,
    awsCredentials: async () => {
      awsCredentials ??= import("./credentials/aws.ts").then(({ lazyAwsCredentials }) =>
        lazyAwsCredentials({ env, clock, emit }),
      );
      return (await awsCredentials)();
    },
    awsProfile: async () => {
      const { readAwsProfile } = await import("./credentials/aws_profile.ts");
      return readAwsProfile(env);
    },
    credentialHelper: async (helper, server, signal) => {
      const { credentialHelper } = await import("./credentials/docker.ts");
      return credentialHelper(env)(helper, server, signal);
    },
    resolveHost: async (host) => {
      const { lookup } = await import("node:dns/promises");
      return (await lookup(host, { all: true })).map(({ address }) => address);
    },
    grpcChannel: async (channel) => {
      const { openHttp2Channel } = await import("./net/grpc_transport.ts");
      return openHttp2Channel(channel, { env, caFile, emit });
    },
  };
}

/** What {@link createHostIo} is made of. */
export interface HostIoOptions {
  env: Readonly<Record<string, string | undefined>>;
  /** Defaults to `createHostFetch` with the environment. */
  fetch?: typeof globalThis.fetch | undefined;
  /** A file of PEM certificates to trust in addition, unless `fetch` is given. */
  caFile?: string | undefined;
  /** Defaults to the platform of this machine. */
  platform?: Platform | undefined;
  clock?: Clock | undefined;
  emit?: EventSink | undefined;
  signal?: AbortSignal | undefined;
}

/**
 * The context of a driver on a host. Proxy variables and the CA file are checked at once: a mistake throws a ConfigError.
 */
export async function createHostIo(options: HostIoOptions): Promise<RegistryContext> {
  const { env, caFile, signal } = options;
  const clock = options.clock ?? systemClock;
  const emit = options.emit ?? (() => {});
  const fetch = options.fetch ?? (await createHostFetch({ env, caFile, emit }));
  return {
    ...hostServices({ env, caFile, clock, emit }),
    platform: options.platform ?? hostPlatform(),
    env,
    fetch,
    clock,
    emit,
    guardFetch: options.fetch ? undefined : createFetchGuard(fetch, { env, caFile }),
    signal,
  };
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
