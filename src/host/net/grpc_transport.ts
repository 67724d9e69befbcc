import { connect as connectTcp, isIP, type Socket } from "node:net";
import { type ConnectionOptions, connect as connectTls } from "node:tls";
import { createGrpcTransport } from "@connectrpc/connect-node";
import type { Context } from "../../core/context.ts";
import { isPrivateHost } from "../../core/private_address.ts";
import { channelOver } from "../../registries/grpc/calls.ts";
import type { GrpcChannel, GrpcChannelOptions } from "../../registries/grpc/channel.ts";
import { GrpcConnection } from "./grpc_connection.ts";
import { proxyFor } from "./proxy_variables.ts";
import { readTrustedCertificates, withRuntimeRoots } from "./trust.ts";

interface GrpcContext extends Pick<Context, "env" | "emit"> {
  caFile?: string | undefined;
}

/** A real response has a few hundred bytes. */
const MAX_ANSWER_BYTES = 1024 * 1024;

/** https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md */
export async function openHttp2Channel(
  options: GrpcChannelOptions,
  context: GrpcContext,
): Promise<GrpcChannel> {
  const { baseUrl } = options;
  warnOfProxy(baseUrl, context);
  const connection = new GrpcConnection(baseUrl, await dialerOf(options, context));
  const transport = createGrpcTransport({
    baseUrl,
    sessionManager: connection,
    acceptCompression: [],
    readMaxBytes: MAX_ANSWER_BYTES,
  });
  return channelOver(transport, () => connection.hangUp());
}

async function dialerOf(options: GrpcChannelOptions, context: GrpcContext): Promise<() => Socket> {
  const { protocol, hostname, port } = new URL(options.baseUrl);
  const host = hostname.replace(/^\[(.*)\]$/, "$1");
  if (protocol === "http:") return () => connectTcp({ host, port: Number(port || 80) });
  const authorities = await trustedAuthorities(options, context);
  return () =>
    connectTls({
      ...authorities,
      host,
      port: Number(port || 443),
      ALPNProtocols: ["h2"],
      servername: isIP(host) === 0 ? host : undefined,
    });
}

/** The transport cannot tunnel HTTP/2. */
function warnOfProxy(baseUrl: string, { env, emit }: GrpcContext): void {
  const server = new URL(baseUrl);
  const proxy = proxyFor(server, env);
  if (proxy === undefined || isPrivateHost(server.hostname)) return;
  emit({
    type: "warning",
    important: true,
    message:
      "gRPC over HTTP/2 does not use the proxy. To use it, add protocol=connect or protocol=grpc-web to the registry's " +
      "URL; to silence this warning, add the registry's host to NO_PROXY",
    fields: { registry: server.host, proxy: proxy.host },
  });
}

async function trustedAuthorities(
  { caFile }: GrpcChannelOptions,
  { env, caFile: globalCaFile, emit }: GrpcContext,
): Promise<ConnectionOptions> {
  const certificates = new Set([
    ...(await readTrustedCertificates(env, globalCaFile, emit)),
    ...(await readTrustedCertificates({}, caFile, emit, "ca-file")),
  ]);
  return certificates.size === 0 ? {} : { ca: withRuntimeRoots([...certificates]) };
}
