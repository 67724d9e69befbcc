import { ConfigError } from "../../core/error.ts";
import { isLoopbackHost } from "../../core/private_address.ts";
import { joinSignals } from "../../core/timeout.ts";
import type { Registry } from "../../core/types.ts";
import { normalizePlatform } from "../../platform/platform.ts";
import { explainAnswer, malformed, resolveAnswer, type ServerAnswer } from "../answered/answer.ts";
import { openAnswered } from "../answered/open.ts";
import type { RegistryContext } from "../driver.ts";
import type { GrpcAnnouncement, GrpcAnswer, GrpcChannel } from "./channel.ts";
import { createGrpcClient, type GrpcClient } from "./client.ts";
import { openConnectChannel } from "./connect.ts";
import { type GrpcLocator, type GrpcProtocol, TOKEN_VARIABLE } from "./locator.ts";

export function openGrpc(locator: GrpcLocator, io: RegistryContext): Registry {
  const { client, token } = openClient(locator, io);
  let answered: GrpcAnnouncement | undefined;
  const platform = normalizePlatform(io.platform);
  const { target, allow = [] } = locator;
  const rules = { target, allow, registries: io.registries ?? {} };
  return {
    async resolve(options = {}) {
      const { arch, os } = platform;
      const signal = joinSignals(options.signal, io.signal);
      const answer = await client.current({ arch, os }, signal);
      answered = answer;
      const { exclude, since } = options;
      const resolution = resolveAnswer(readAnswer(answer, locator), {
        locator,
        rules,
        platform,
        now: io.clock.now(),
        exclude,
        since,
        wanted: options.tag,
      });
      if (!options.explain) return resolution;
      return { ...resolution, explanation: explainAnswer(locator, platform, resolution) };
    },
    open: (artifact, options = {}) => openAnswered(artifact, rules, io, options),
    async report({ id, tag, command, error }, options = {}) {
      const signal = joinSignals(options.signal, io.signal);
      await client.report({ id, tag, command, err: error }, signal);
    },
    async watch({ onChange, signal }) {
      const { arch, os } = platform;
      const { watchVersion } = await import("./watch.ts");
      const common = { question: { arch, os }, token, answered: () => answered };
      const { channel: open } = client;
      await watchVersion({ ...common, open, onChange, signal }, io);
    },
  };
}

/** The packages of gRPC are loaded at the first call, if the protocol needs them. */
function openClient(
  locator: GrpcLocator,
  io: RegistryContext,
): { client: GrpcClient; token: string } {
  const protocol = chooseProtocol(locator, io);
  const baseUrl = `${locator.noTLS ? "http" : "https"}://${locator.target}`;
  const token = tokenFor(locator, io);
  const open = async (): Promise<GrpcChannel> => {
    if (protocol === "grpc") {
      if (io.grpcChannel === undefined) throw noHttp2(locator);
      return io.grpcChannel({ baseUrl, caFile: locator.caFile ?? "" });
    }
    if (protocol === "connect") return openConnectChannel(baseUrl, io.fetch);
    const { openFetchChannel } = await import("./web.ts");
    return openFetchChannel(protocol, baseUrl, io.fetch);
  };
  return { client: createGrpcClient({ baseUrl, protocol, token, open }, io), token };
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

function readAnswer(answer: GrpcAnswer, locator: GrpcLocator): ServerAnswer {
  const { id, tag, artifactUrl, fileUrls } = answer;
  return {
    id,
    tag,
    artifact: artifactUrl === "" ? undefined : { url: artifactUrl },
    files: fileUrls?.map((url) => ({ url })),
    createdAt: readTime(answer, locator),
  };
}

function readTime({ createdAt }: GrpcAnswer, locator: GrpcLocator): Date | undefined {
  if (createdAt === undefined) return undefined;
  const date = new Date(Number(createdAt.seconds) * 1000 + createdAt.nanos / 1e6);
  if (!Number.isNaN(date.getTime())) return date;
  throw malformed(locator, "created_at", `${createdAt.seconds} s is not a valid time`);
}
