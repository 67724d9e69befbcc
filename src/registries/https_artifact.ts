import type { OpenOptions } from "../core/types.ts";
import type { SplitUrl } from "../core/url.ts";
import { createHttpClient } from "../http/client.ts";
import { openRange } from "../http/range.ts";
import type { RegistryContext } from "./driver.ts";
import { joinSignals } from "./list_registry.ts";

/**
 * Streams a file from a plain web server.
 *
 * @param url an `https://` address.
 * @param io the world.
 * @param options which bytes.
 * @param checkRedirect looks at where a redirect leads, and throws to refuse.
 * @returns the bytes, from `offset` on, also where the server knows no ranges.
 * @throws RemoteError, NotFoundError or CredentialError as the server answers.
 */
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
