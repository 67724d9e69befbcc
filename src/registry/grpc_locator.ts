import { decodePath, type OptionSpec, type SplitUrl } from "../core/url.ts";
import { badRegistryUrl, type LocatorBase, RESOLVED_OPTIONS, readCommon } from "./driver.ts";

/** The form of a gRPC registry URL. */
export const GRPC_SYNTAX = "grpc://<server-host>[:<port>]";
/** The options of a gRPC registry URL. */
export const GRPC_OPTIONS: readonly OptionSpec[] = [
  ...RESOLVED_OPTIONS,
  {
    name: "no-tls",
    type: "boolean",
    description: "Whether to speak plain text (h2c) instead of TLS",
  },
];

/** A server that chooses the version itself. */
export interface GrpcLocator extends LocatorBase {
  /** The kind of registry. */
  type: "grpc";
  /** Host and port. */
  target: string;
  /** Speak plain text instead of TLS. */
  noTLS: boolean;
}

/**
 * Reads `grpc://host:port`. The server chooses, so `pre-release` and `artifact` are no options.
 *
 * @param url the URL, taken apart.
 * @returns the locator; without a port, 443 or, with `no-tls`, 80.
 * @throws ConfigError when the host is missing or a path follows.
 */
export function parseGrpcUrl(url: SplitUrl): GrpcLocator {
  const { common, query } = readCommon("grpc", url, GRPC_OPTIONS);
  const host = decodePath(url.host, url, "--registry");
  if (host === "") throw badRegistryUrl(url, "server host is required", GRPC_SYNTAX);
  if (url.path !== "" && url.path !== "/") {
    throw badRegistryUrl(url, "a path has no meaning here", GRPC_SYNTAX);
  }
  const noTLS = query.flag("no-tls");
  const hasPort = /:\d+$/.test(host);
  return { ...common, target: hasPort ? host : `${host}:${noTLS ? 80 : 443}`, noTLS };
}
