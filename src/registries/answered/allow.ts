import { ConfigError } from "../../core/error.ts";
import {
  type OptionSpec,
  option,
  type QueryReader,
  redactUrl,
  type SplitUrl,
} from "../../core/url.ts";

export const ALLOW_OPTION: OptionSpec = option(
  "allow",
  "What the server's artifact URLs may use, separated by commas: http, file, endpoint (of s3://), " +
    "or a host[:port] inside the private network",
);

/** A host in lower case, with or without a port. */
export const HOST: RegExp = /^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:0*[1-9]\d{0,4})?$/;

export function readAllow(url: SplitUrl, query: QueryReader): string[] {
  const entries = query
    .text("allow")
    .toLowerCase()
    .split(",")
    .map((entry) => entry.trim())
    .filter((entry) => entry !== "");
  for (const entry of entries) {
    if (!HOST.test(entry)) {
      throw new ConfigError(
        `Cannot use --registry "${redactUrl(url.text)}": allow=${entry} is neither http, file or endpoint, nor a host[:port]`,
      );
    }
  }
  return entries;
}
