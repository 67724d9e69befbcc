import { ConfigError } from "../../core/error.ts";
import { isLoopbackHost } from "../../core/private_address.ts";
import { withTimeout } from "../../core/timeout.ts";
import type {
  Artifact,
  Candidates,
  OpenOptions,
  Platform,
  Registry,
  Resolution,
} from "../../core/types.ts";
import { splitUrl } from "../../core/url.ts";
import { normalizePlatform } from "../../platform/platform.ts";
import type { RegistryContext } from "../driver.ts";
import { openHttpsArtifact } from "../https_artifact.ts";
import { joinSignals } from "../list_registry.ts";
import { resolveAnswer } from "./answer.ts";
import {
  type ArtifactRules,
  artifactRules,
  assertMayAsk,
  assertResolvesElsewhere,
  readAnsweredArtifact,
} from "./artifact.ts";
import type { GrpcAnnouncement, GrpcChannel } from "./channel.ts";
import type { GrpcClient } from "./client.ts";
import { type GrpcLocator, type GrpcProtocol, TOKEN_VARIABLE } from "./locator.ts";

const LOOKUP_MS = 5_000;

export function openGrpc(locator: GrpcLocator, io: RegistryContext): Registry {
  const { client, token } = lazyClient(locator, io);
  let answered: GrpcAnnouncement | undefined;
  const platform = normalizePlatform(io.platform);
  const rules = artifactRules(locator, io);
  return {
    async resolve(options = {}) {
      const { arch, os } = platform;
      const signal = joinSignals(options.signal, io.signal);
      const answer = await (await client()).current({ arch, os }, signal);
      answered = answer;
      const { exclude } = options;
      const resolution = resolveAnswer(answer, {
        locator,
        rules,
        platform,
        now: io.clock.now(),
        exclude,
        wanted: options.tag,
      });
      if (!options.explain) return resolution;
      return { ...resolution, explanation: explainAnswer(locator, platform, resolution) };
    },
    open: (artifact, options = {}) => openAnswered(artifact, rules, io, options),
    async report({ id, tag, command, error }, options = {}) {
      const signal = joinSignals(options.signal, io.signal);
      await (await client()).report({ id, tag, command, err: error }, signal);
    },
    async watch({ onChange, signal }) {
      const { arch, os } = platform;
      const { watchVersion } = await import("./watch.ts");
      const common = { question: { arch, os }, token, answered: () => answered };
      const { channel: open } = await client();
      await watchVersion({ ...common, open, onChange, signal }, io);
    },
  };
}

/** The gRPC packages are loaded at the first call. */
function lazyClient(
  locator: GrpcLocator,
  io: RegistryContext,
): { client: () => Promise<GrpcClient>; token: string } {
  const protocol = chooseProtocol(locator, io);
  const baseUrl = `${locator.noTLS ? "http" : "https"}://${locator.target}`;
  const token = tokenFor(locator, io);
  const open = async (): Promise<GrpcChannel> => {
    if (protocol === "grpc") {
      if (io.grpcChannel === undefined) throw noHttp2(locator);
      return io.grpcChannel({ baseUrl, caFile: locator.caFile ?? "" });
    }
    const { openFetchChannel } = await import("./web.ts");
    return openFetchChannel(protocol, baseUrl, io.fetch);
  };
  let client: Promise<GrpcClient> | undefined;
  const load = (): Promise<GrpcClient> => {
    client ??= import("./client.ts").then(({ createGrpcClient }) =>
      createGrpcClient({ baseUrl, protocol, token, open }, io),
    );
    return client;
  };
  return { client: load, token };
}

function chooseProtocol(locator: GrpcLocator, io: RegistryContext): GrpcProtocol {
  const canHttp2 = io.grpcChannel !== undefined;
  const protocol = locator.protocol ?? (canHttp2 ? "grpc" : "connect");
  if (protocol === "grpc" && !canHttp2) throw noHttp2(locator);
  if (protocol !== "grpc" && locator.caFile !== undefined) {
    throw new ConfigError(`Cannot use "${locator.url}": ca-file needs protocol=grpc, on a host`);
  }
  return protocol;
}

function noHttp2(locator: GrpcLocator): ConfigError {
  return new ConfigError(
    `Cannot use "${locator.url}": gRPC over HTTP/2 needs a host (dewy/host); ` +
      "with fetch alone use protocol=connect or protocol=grpc-web",
  );
}

function tokenFor(locator: GrpcLocator, io: RegistryContext): string {
  const token = io.token ?? io.env[TOKEN_VARIABLE] ?? "";
  if (token === "" || !locator.noTLS || isLoopback(locator.target)) return token;
  io.emit({
    type: "warning",
    message: `${io.token === undefined ? TOKEN_VARIABLE : "The token"} is not sent: with no-tls=true anyone on the way could read it`,
    fields: { registry: locator.url },
  });
  return "";
}

function isLoopback(target: string): boolean {
  return isLoopbackHost(new URL(`http://${target}`).hostname);
}

async function openAnswered(
  artifact: Artifact,
  rules: ArtifactRules,
  io: RegistryContext,
  options: OpenOptions,
): Promise<ReadableStream<Uint8Array>> {
  // Checked again, since the URL may come from a state file.
  const { url } = readAnsweredArtifact(artifact.url, rules);
  const signal = joinSignals(options.signal, io.signal);
  const open = { ...options, signal };
  if (/^https?:/.test(url)) {
    const checked = new Map<string, URL>();
    const check = async (next: URL): Promise<void> => {
      assertMayAsk(next, rules);
      assertResolvesElsewhere(next, rules, await addressesOf(next, io, signal));
      checked.set(next.hostname, next);
    };
    const guarded = await io.guardFetch?.(io.fetch, (host, addresses) => {
      assertResolvesElsewhere(checked.get(host) ?? new URL(url), rules, addresses);
    });
    await check(new URL(url));
    const guardedIo = { ...io, fetch: guarded ?? io.fetch };
    return openHttpsArtifact(splitUrl(url, "the artifact URL"), guardedIo, open, check);
  }
  if (io.openArtifact === undefined) {
    throw new ConfigError(`Cannot open "${artifact.name}": open the registry with openRegistry`);
  }
  return io.openArtifact(url, open);
}

/** The addresses of a host; empty if the lookup fails or is slow: a proxy may know names that this machine does not. */
async function addressesOf(
  url: URL,
  io: RegistryContext,
  signal: AbortSignal | undefined,
): Promise<readonly string[]> {
  if (io.resolveHost === undefined) return [];
  const found = io.resolveHost(url.hostname.replace(/^\[(.*)\]$/, "$1"));
  try {
    return await withTimeout(found, { clock: io.clock, ms: LOOKUP_MS, what: "address", signal });
  } catch {
    return [];
  }
}

function explainAnswer(
  locator: GrpcLocator,
  platform: Platform,
  resolution: Resolution,
): Candidates {
  const registry = locator.url;
  const reason = "the server chose it";
  if (resolution.kind === "ready") {
    const { release, artifact } = resolution;
    return {
      registry,
      platform,
      tags: [{ tag: release.tag, chosen: true, reason }],
      artifacts: [{ name: artifact.name, chosen: true, reason }],
    };
  }
  const { tag, message = reason } = resolution;
  const chosen = resolution.reason === "artifact-missing";
  const tags = tag === undefined ? [] : [{ tag, chosen, reason: chosen ? reason : message }];
  return { registry, platform, tags, artifacts: [] };
}
