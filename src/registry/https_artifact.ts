import { createHttpClient } from "../client/http.ts";
import { openRange } from "../client/http_range.ts";
import type { OpenOptions } from "../core/types.ts";
import type { SplitUrl } from "../core/url.ts";
import type { RegistryIo } from "./driver.ts";
import { joinSignals } from "./list_registry.ts";

/**
 * Streams a file from a plain web server.
 *
 * @param url an `https://` address.
 * @param io the world.
 * @param options the first byte wanted.
 * @returns the bytes, from `offset` on, also where the server knows no ranges.
 * @throws RemoteError, NotFoundError or CredentialError as the server answers.
 */
export function openHttpsArtifact(
  url: SplitUrl,
  io: RegistryIo,
  options: OpenOptions = {},
): Promise<ReadableStream<Uint8Array>> {
  const request = { url: url.text, signal: joinSignals(options.signal, io.signal) };
  return openRange(createHttpClient(io), request, options.offset ?? 0);
}
