import process from "node:process";
import { systemClock } from "../core/clock.ts";
import type {
  Explanation,
  OpenOptions,
  Registry,
  Resolution,
  ResolveOptions,
} from "../core/types.ts";
import type { HostServices } from "../registries/driver.ts";
import type { RegistryOptions } from "../registries/load.ts";
import * as library from "../registries/open.ts";
import { hostServices } from "./io.ts";
import { createFetchGuard, createHostFetch } from "./net/fetch.ts";
import { hostPlatform } from "./platform.ts";
import { hostRegistries } from "./registries.ts";

/**
 * Opens a registry with everything this machine offers: its proxies and certificate authorities, files, AWS credentials,
 * Docker's credential helpers, gRPC over HTTP/2, and `file://`. No request is sent until you call one of its methods.
 *
 * @param url `ghr://owner/repo`, `s3://region/bucket/prefix`, `file:///directory`, … Query parameters set registry options.
 * @param options As for `openRegistry` of `dewy`. `caFile` applies to all HTTPS connections. Defaults come from this machine.
 * @returns The registry.
 * @throws {ConfigError} If the URL or an option is invalid.
 *
 * @example
 * ```ts
 * import { openRegistry } from "dewy/host";
 *
 * const registry = openRegistry("file:///srv/releases/app");
 * if (registry.digest === undefined) throw new Error("a directory knows digests");
 * ```
 */
export function openRegistry(url: string, options: RegistryOptions & HostServices = {}): Registry {
  return library.openRegistry(url, onThisHost(options));
}

/**
 * Resolves the newest version for this machine.
 *
 * @param url As for {@link openRegistry}.
 * @param options As for {@link openRegistry}, and the tags to exclude.
 * @returns The answer. "Pending" and "none" are values.
 * @throws {DewyError} If the URL is invalid, access is refused, or the registry cannot be reached.
 *
 * @example
 * ```ts
 * import { latest } from "dewy/host";
 *
 * const answer = await latest("file:///no/such/directory").catch((error) => error.code);
 * if (answer !== "not-found") throw new Error(String(answer));
 * ```
 */
export function latest(
  url: string,
  options: RegistryOptions & HostServices & Pick<ResolveOptions, "exclude"> = {},
): Promise<Resolution> {
  return library.latest(url, onThisHost(options));
}

/**
 * Explains every candidate: chosen, or the reason why not.
 *
 * @param url As for {@link openRegistry}.
 * @param options As for {@link latest}.
 * @returns The tags, the artifacts, and the answer they lead to.
 * @throws {DewyError} As {@link latest} does.
 *
 * @example
 * ```ts
 * import { explain } from "dewy/host";
 *
 * const why = await explain("file:///no/such/directory").catch((error) => error.code);
 * if (why !== "not-found") throw new Error(String(why));
 * ```
 */
export function explain(
  url: string,
  options: RegistryOptions & HostServices & Pick<ResolveOptions, "exclude"> = {},
): Promise<Explanation> {
  return library.explain(url, onThisHost(options));
}

/**
 * Streams the bytes behind an artifact URL of any registry, or an `https://` address.
 *
 * @param artifactUrl The `artifact.url` of an answer.
 * @param options As for {@link openRegistry}, and which bytes to stream.
 * @returns The bytes, from `offset` on.
 * @throws {DewyError} If the URL is invalid, access is refused, or the artifact is missing.
 *
 * @example
 * ```ts
 * import { openArtifact } from "dewy/host";
 *
 * const outcome = await openArtifact("file:///no/such/file").catch((error) => error.code);
 * if (outcome !== "not-found") throw new Error(String(outcome));
 * ```
 */
export function openArtifact(
  artifactUrl: string,
  options: RegistryOptions & HostServices & OpenOptions = {},
): Promise<ReadableStream<Uint8Array>> {
  return library.openArtifact(artifactUrl, onThisHost(options));
}

function onThisHost<O extends RegistryOptions & HostServices>({
  caFile,
  ...options
}: O): Omit<O, "caFile"> & RegistryOptions & HostServices {
  const { env = process.env, clock = systemClock, emit = () => {} } = options;
  const fetch = options.fetch ?? networkOf({ env, caFile, emit });
  return {
    platform: hostPlatform(),
    registries: hostRegistries,
    ...hostServices({ env, caFile, clock, emit }),
    guardFetch: options.fetch ? undefined : createFetchGuard(fetch, { env, caFile }),
    ...options,
    env,
    clock,
    emit,
    fetch,
  };
}

/** A mistake in a proxy variable or a CA file shows at the first request. */
function networkOf(options: Parameters<typeof createHostFetch>[0]): typeof globalThis.fetch {
  let made: Promise<typeof globalThis.fetch> | undefined;
  return async (input, init) => {
    made ??= createHostFetch(options);
    return (await made)(input, init);
  };
}
