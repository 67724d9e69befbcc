import type { OpenOptions } from "../core/types.ts";
import type { SplitUrl } from "../core/url.ts";
import { createHttpClient } from "../http/client.ts";
import { openRange } from "../http/range.ts";
import type { RegistryContext } from "./driver.ts";
import { joinSignals } from "./list_registry.ts";

/** Streams a file from a plain web server. */
export function openHttpsArtifact(
  url: SplitUrl,
  io: RegistryContext,
  options: OpenOptions = {},
  checkRedirect?: (next: URL) => void | Promise<void>,
): Promise<ReadableStream<Uint8Array>> {
  const signal = joinSignals(options.signal, io.signal);
  const request = { url: url.text, signal, checkRedirect };
  return openRange(createHttpClient(io), request, options);
}
