import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";
import { channelOver } from "./calls.ts";
import type { GrpcChannel } from "./channel.ts";
import { waryFetch } from "./wary_fetch.ts";

export type GrpcFetchProtocol = "grpc-web" | "connect";

/**
 * Opens a channel over `fetch`.
 * https://connectrpc.com/docs/protocol
 * https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md
 */
export function openFetchChannel(
  protocol: GrpcFetchProtocol,
  baseUrl: string,
  fetch: typeof globalThis.fetch,
): GrpcChannel {
  const options = { baseUrl, fetch: waryFetch(fetch), useBinaryFormat: true };
  const create = protocol === "connect" ? createConnectTransport : createGrpcWebTransport;
  return channelOver(create(options), () => {});
}
