import { ConfigError } from "../../core/error.ts";
import { decodePath, type OptionSpec, option, redactUrl, type SplitUrl } from "../../core/url.ts";
import { ALLOW_OPTION, HOST, readAllow } from "../answered/allow.ts";
import {
  badRegistryUrl,
  type LocatorBase,
  RESOLVED_OPTIONS,
  readRegistryQuery,
} from "../driver.ts";

/** The environment variable with the server's bearer token. */
export const TOKEN_VARIABLE = "DEWY_REGISTRY_TOKEN";
export const GRPC_SYNTAX = "grpc://<server-host>[:<port>]";
export const GRPC_OPTIONS: readonly OptionSpec[] = [
  ...RESOLVED_OPTIONS,
  option("no-tls", "Whether to speak plain text (h2c) instead of TLS", "boolean"),
  option(
    "protocol",
    "grpc, connect or grpc-web; by default grpc on a host, and connect where there is only fetch",
  ),
  option("ca-file", "A file of PEM certificates to trust as well, with protocol grpc"),
  ALLOW_OPTION,
];

/** The protocol of the server. */
export type GrpcProtocol = "grpc" | "grpc-web" | "connect";

/** A server that chooses the version itself. */
export interface GrpcLocator extends LocatorBase {
  /** The kind of registry. */
  type: "grpc";
  /** Host and port. */
  target: string;
  /** Speak plain text instead of TLS. */
  noTLS: boolean;
  /** What to speak; absent: chosen by where this runs. */
  protocol?: GrpcProtocol;
  /** A file of PEM certificates to trust as well; absent: none. */
  caFile?: string;
  /** Schemes and hosts that the server's artifact URLs may use: `http`, `file`, `endpoint`, hosts. Defaults to none. */
  allow?: readonly string[];
}

const PROTOCOLS: readonly GrpcProtocol[] = ["grpc", "grpc-web", "connect"];

/** Reads `grpc://host:port`. The server chooses, so `pre-release` and `artifact` are not supported. */
export function parseGrpcUrl(url: SplitUrl): GrpcLocator {
  const { common, query } = readRegistryQuery("grpc", url, GRPC_OPTIONS);
  const host = decodePath(url.host, url, "--registry");
  if (host === "") throw badRegistryUrl(url, "server host is required", GRPC_SYNTAX);
  if (url.path !== "" && url.path !== "/") {
    throw badRegistryUrl(url, "a path has no meaning here", GRPC_SYNTAX);
  }
  const noTLS = query.flag("no-tls");
  const target = /:\d+$/.test(host) ? host : `${host}:${noTLS ? 80 : 443}`;
  if (!HOST.test(target.toLowerCase()) || !URL.canParse(`https://${target}`)) {
    throw badRegistryUrl(
      url,
      `"${host}" is not a valid host, or its port is not valid`,
      GRPC_SYNTAX,
    );
  }
  const protocol = readProtocol(url, query.text("protocol"));
  const caFile = query.text("ca-file");
  if (caFile !== "" && (noTLS || (protocol ?? "grpc") !== "grpc")) {
    const other = noTLS ? "no-tls=true" : `protocol=${protocol}`;
    throw unusable(url, `ca-file has no effect with ${other}; see --ca-file`);
  }
  const allow = readAllow(url, query);
  return {
    ...common,
    target,
    noTLS,
    protocol,
    caFile: caFile || undefined,
    allow,
  };
}

function readProtocol(url: SplitUrl, text: string): GrpcProtocol | undefined {
  const protocol = PROTOCOLS.find((one) => one === text);
  if (protocol !== undefined || text === "") return protocol;
  throw unusable(url, `protocol=${text} is not one of ${PROTOCOLS.join(", ")}`);
}

function unusable(url: SplitUrl, problem: string): ConfigError {
  return new ConfigError(`Cannot use --registry "${redactUrl(url.text)}": ${problem}`);
}
