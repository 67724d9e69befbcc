import { createHttpClient } from "../client/http.ts";
import { IntegrityError } from "../core/error.ts";
import type { OpenOptions } from "../core/types.ts";
import { redactUrl, type SplitUrl } from "../core/url.ts";
import type { RegistryIo } from "./driver.ts";

/**
 * Streams a file from a plain web server.
 *
 * @param url an `https://` address.
 * @param io the world.
 * @param options the first byte wanted.
 * @returns the bytes, from `offset` on, also where the server knows no ranges.
 * @throws RemoteError, NotFoundError or CredentialError as the server answers.
 */
export async function openHttpsArtifact(
  url: SplitUrl,
  io: RegistryIo,
  options: OpenOptions = {},
): Promise<ReadableStream<Uint8Array>> {
  const offset = options.offset ?? 0;
  const response = await createHttpClient(io).send({
    url: url.text,
    headers: offset === 0 ? {} : { range: `bytes=${offset}-` },
    signal: options.signal ?? io.signal,
  });
  if (response.body === null) {
    throw new IntegrityError(`Cannot download "${redactUrl(url.text)}": the answer has no body`);
  }
  return response.body;
}
