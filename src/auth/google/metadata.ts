import { ConfigError, NotFoundError, RemoteError } from "../../core/error.ts";
import type { EventSink } from "../../core/event.ts";
import { createHttpClient, type HttpClient } from "../../http/client.ts";
import { askTokenServer, type GoogleToken, type GoogleTokenIo, oauthAnswer } from "./token.ts";

/** What asking the metadata server needs from the world. */
export interface MetadataIo extends GoogleTokenIo {
  /** Environment variables. */
  env: Readonly<Record<string, string | undefined>>;
  /** The network. */
  fetch: typeof globalThis.fetch;
  /** Hears of requests and retries. */
  emit: EventSink;
  /** It answered before: now its silence is a failure, not an absence. */
  seenMetadata: boolean;
}

const DEFAULT_HOST = "metadata.google.internal";
/** Where there is no such server, nothing may answer at all. */
const DETECT_TIMEOUT_MS = 1_500;
const TIMEOUT_MS = 5_000;

/**
 * Gets the token of the machine's service account: on Compute Engine, GKE, Cloud Run and the like.
 *
 * @param io the world.
 * @returns the token; `undefined` when there is no metadata server, or the machine has no service account.
 * @throws RemoteError when the server is there but fails, also when `GCE_METADATA_HOST` names it.
 * @see https://cloud.google.com/compute/docs/access/authenticate-workloads#applications
 */
export async function metadataToken(io: MetadataIo): Promise<GoogleToken | undefined> {
  const { address, isNamed } = metadataAddress(io.env);
  const expected = isNamed || io.seenMetadata;
  const http = expected ? io.http : createHttpClient({ ...io, retries: 0 });
  try {
    return await askMetadata(io, http, address, expected ? TIMEOUT_MS : DETECT_TIMEOUT_MS);
  } catch (error) {
    if (error instanceof NotFoundError) return undefined;
    const silent = error instanceof RemoteError && error.status === undefined;
    if (silent && !expected) return undefined;
    throw error;
  }
}

async function askMetadata(
  io: MetadataIo,
  http: HttpClient,
  address: string,
  timeoutMs: number,
): Promise<GoogleToken> {
  const url = `${address}/computeMetadata/v1/instance/service-accounts/default/token`;
  const answer = await askTokenServer(checkFlavor(http, address), {
    request: { url, headers: { "metadata-flavor": "Google" }, timeoutMs, signal: io.signal },
    schema: oauthAnswer,
    source: "the metadata server",
    advice: "give this machine a service account that may read the bucket",
    secrets: [],
  });
  return {
    accessToken: answer.access_token,
    expiresAt: io.clock.now() + answer.expires_in * 1000,
    source: "the metadata server",
    fromMetadata: true,
  };
}

/** A proxy or a captive portal that answers in its place does not say the password. */
function checkFlavor(http: HttpClient, address: string): HttpClient {
  const isGoogle = (headers: Headers): boolean => headers.get("metadata-flavor") === "Google";
  const absent = (): NotFoundError =>
    new NotFoundError(`There is no metadata server at ${address}`);
  return {
    ...http,
    async json(request) {
      const { text, headers } = await http.text({
        ...request,
        toError: (failure) =>
          isGoogle(failure.headers) && failure.status !== 404
            ? request.toError?.(failure)
            : absent(),
      });
      if (!isGoogle(headers)) throw absent();
      return parseJson(text);
    },
  };
}

/** What is no JSON is told by the schema. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/**
 * Where the metadata server is.
 *
 * @param env environment variables; `GCE_METADATA_HOST` is read.
 * @returns its address, and whether the environment named it.
 * @throws ConfigError when the variable holds no host.
 */
export function metadataAddress(env: MetadataIo["env"]): { address: string; isNamed: boolean } {
  const named = env.GCE_METADATA_HOST ?? "";
  if (named === "") return { address: `http://${DEFAULT_HOST}`, isNamed: false };
  if (/^[A-Za-z0-9.-]+(:\d{1,5})?$|^\[[0-9a-fA-F:]+\](:\d{1,5})?$/.test(named)) {
    return { address: `http://${named}`, isNamed: true };
  }
  throw new ConfigError("Cannot use GCE_METADATA_HOST: expected <host> or <host>:<port>");
}
