import { connect as connectTcp, isIP, type Socket } from "node:net";
import { type ConnectionOptions, connect as connectTls } from "node:tls";
import { createGrpcTransport } from "@connectrpc/connect-node";
import type { EventSink } from "../../core/event.ts";
import { isPrivateHost } from "../../core/private_address.ts";
import { channelOver } from "../../registries/grpc/calls.ts";
import type { GrpcChannel, GrpcChannelOptions } from "../../registries/grpc/channel.ts";
import { GrpcConnection } from "./grpc_connection.ts";
import { proxyFor } from "./proxy.ts";
import { readTrustedCertificates, withRuntimeRoots } from "./trust.ts";

/** Whom gRPC connections of this machine trust. */
export interface GrpcTrust {
  /** Environment variables: `SSL_CERT_FILE`, `NODE_EXTRA_CA_CERTS`, and those that name proxies. */
  env: Readonly<Record<string, string | undefined>>;
  /** The value of `--ca-file`, a file of PEM certificates; none unless told. */
  caFile?: string | undefined;
  /** Hears a warning for a variable whose file is of no use, and of a proxy that is passed by. */
  emit: EventSink;
}

/** The longest answer that is read, in bytes; a real one has a few hundred. */
const MAX_ANSWER_BYTES = 1024 * 1024;

/**
 * Opens a channel for gRPC over HTTP/2, with TLS or, where the address says `http://`, without. The connection is made
 * at the first call, kept, made anew when it has died, and does not keep the process running.
 *
 * @param options the server, and a CA file of its own.
 * @param trust the private certificate authorities of this machine.
 * @returns the channel.
 * @throws ConfigError when a CA file cannot be read or holds no certificate.
 * @see https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
 */
export async function openHttp2Channel(
  options: GrpcChannelOptions,
  trust: GrpcTrust,
): Promise<GrpcChannel> {
  const { baseUrl } = options;
  warnOfProxy(baseUrl, trust);
  const connection = new GrpcConnection(baseUrl, await dialerOf(options, trust));
  const transport = createGrpcTransport({
    baseUrl,
    sessionManager: connection,
    acceptCompression: [],
    readMaxBytes: MAX_ANSWER_BYTES,
  });
  return channelOver(transport, () => connection.hangUp());
}

async function dialerOf(options: GrpcChannelOptions, trust: GrpcTrust): Promise<() => Socket> {
  const { protocol, hostname, port } = new URL(options.baseUrl);
  const host = hostname.replace(/^\[(.*)\]$/, "$1");
  if (protocol === "http:") return () => connectTcp({ host, port: Number(port || 80) });
  const authorities = await trustedAuthorities(options, trust);
  return () =>
    connectTls({
      ...authorities,
      host,
      port: Number(port || 443),
      ALPNProtocols: ["h2"],
      ...(isIP(host) === 0 ? { servername: host } : {}),
    });
}

/** Tunnels for HTTP/2 are nothing that the transport has. */
function warnOfProxy(baseUrl: string, { env, emit }: GrpcTrust): void {
  const server = new URL(baseUrl);
  const proxy = proxyFor(server, env);
  if (proxy === undefined || isPrivateHost(server.hostname)) return;
  emit({
    type: "warning",
    important: true,
    message:
      "gRPC over HTTP/2 goes through no proxy: the registry is asked directly; protocol=connect or protocol=grpc-web " +
      "on the registry's URL goes through it, NO_PROXY with the registry's host ends this warning",
    fields: { registry: server.host, proxy: proxy.host },
  });
}

async function trustedAuthorities(
  { caFile }: GrpcChannelOptions,
  { env, caFile: globalCaFile, emit }: GrpcTrust,
): Promise<ConnectionOptions> {
  const certificates = new Set(await readTrustedCertificates(env, globalCaFile, emit));
  for (const one of await readTrustedCertificates({}, caFile, emit, "ca-file")) {
    certificates.add(one);
  }
  return certificates.size === 0 ? {} : { ca: withRuntimeRoots([...certificates]) };
}
