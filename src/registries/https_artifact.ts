import { joinSignals } from "../core/timeout.ts";
import type { OpenOptions } from "../core/types.ts";
import type { SplitUrl } from "../core/url.ts";
import { createHttpClient, type HttpRequest } from "../http/client.ts";
import { openRange } from "../http/range.ts";
import type { RegistryContext } from "./driver.ts";

/** Streams a file from a plain web server. */
export function openHttpsArtifact(
  url: SplitUrl,
  io: RegistryContext,
  options: OpenOptions = {},
  how: Pick<HttpRequest, "checkRedirect" | "headers"> = {},
): Promise<ReadableStream<Uint8Array>> {
  const signal = joinSignals(options.signal, io.signal);
  return openRange(createHttpClient(io), { url: url.text, signal, ...how }, options);
}
