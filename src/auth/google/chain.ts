import type { Environment } from "../../core/environment.ts";
import { ConfigError, NotFoundError, RemoteError } from "../../core/error.ts";
import { messageOf } from "../../core/message_of.ts";
import { createHttpClient, type HttpClient } from "../../http/client.ts";
import { parseJson } from "../../http/json.ts";
import { isFileAbsent } from "../absent_file.ts";
import { authorizedUserToken, impersonatedToken, serviceAccountToken } from "./account.ts";
import { externalAccountToken } from "./external.ts";
import { type CredentialFile, parseCredentialFile } from "./schema.ts";
import { type GoogleToken, requestOAuthToken, type TokenContext } from "./token.ts";
import { assertUniverse } from "./universe.ts";

const VARIABLE = "GOOGLE_APPLICATION_CREDENTIALS";
const FILE = "application_default_credentials.json";

/**
 * Gets a token from the first source that has credentials: `GOOGLE_APPLICATION_CREDENTIALS` (a path, or the JSON
 * itself), gcloud's file, the metadata server.
 *
 * @param tried receives a line for each source.
 * @see https://cloud.google.com/docs/authentication/application-default-credentials#order
 */
export async function findGoogleToken(
  context: TokenContext,
  tried: string[],
): Promise<GoogleToken | undefined> {
  const token =
    (await fromVariable(context, tried)) ??
    (await fromGcloud(context, tried)) ??
    (await fromMetadata(context, tried));
  const quotaProject = context.env.GOOGLE_CLOUD_QUOTA_PROJECT ?? "";
  return token === undefined || quotaProject === "" ? token : { ...token, quotaProject };
}

async function fromVariable(
  context: TokenContext,
  tried: string[],
): Promise<GoogleToken | undefined> {
  const value = context.env[VARIABLE] ?? "";
  if (value === "") {
    tried.push(`${VARIABLE} (not set)`);
    return undefined;
  }
  tried.push(VARIABLE);
  if (value.startsWith("{")) return fileToken(context, value, VARIABLE);
  if (context.readTextFile === undefined) {
    throw new ConfigError(
      `Cannot read the file that ${VARIABLE} names: there is no file system here; put the JSON itself into it`,
    );
  }
  const json = await context.readTextFile(value).catch((cause: unknown) => {
    throw new ConfigError(`Cannot use ${VARIABLE}: ${messageOf(cause)}`, { cause });
  });
  return fileToken(context, json, `${VARIABLE} (${value})`);
}

async function fromGcloud(
  context: TokenContext,
  tried: string[],
): Promise<GoogleToken | undefined> {
  const path = gcloudFile(context.env);
  if (context.readTextFile === undefined || path === undefined) return undefined;
  let json: string;
  try {
    json = await context.readTextFile(path);
  } catch (error) {
    tried.push(`${path} (${isFileAbsent(error) ? "not found" : "cannot be read"})`);
    return undefined;
  }
  tried.push(path);
  return fileToken(context, json, path);
}

/** https://cloud.google.com/docs/authentication/application-default-credentials#personal */
function gcloudFile(env: Environment): string | undefined {
  const directories = [
    [env.CLOUDSDK_CONFIG, ""],
    [env.APPDATA, "/gcloud"],
    [env.HOME, "/.config/gcloud"],
  ] as const;
  for (const [directory = "", rest] of directories) {
    if (directory !== "") return `${directory.replace(/\/+$/, "")}${rest}/${FILE}`;
  }
  return undefined;
}

async function fileToken(
  context: TokenContext,
  json: string,
  source: string,
): Promise<GoogleToken> {
  const file = parseCredentialFile(json, source);
  assertUniverse(file.universe_domain, context.universe, source);
  const token = await tokenOf(context, file, source);
  const { quota_project_id: quotaProject } = file;
  return { ...token, quotaProject };
}

function tokenOf(
  context: TokenContext,
  file: CredentialFile,
  source: string,
): Promise<GoogleToken> {
  switch (file.type) {
    case "service_account":
      return serviceAccountToken(context, file, source);
    case "authorized_user":
      return authorizedUserToken(context, file, source);
    case "external_account":
      return externalAccountToken(context, file, source);
    case "impersonated_service_account":
      return impersonatedToken(context, file, source);
  }
}

const DEFAULT_HOST = "metadata.google.internal";
/** Short, since outside of Google nothing may answer at all. */
const DETECT_TIMEOUT_MS = 1_500;
const METADATA_TIMEOUT_MS = 5_000;

/** https://cloud.google.com/compute/docs/access/authenticate-workloads#applications */
async function fromMetadata(
  context: TokenContext,
  tried: string[],
): Promise<GoogleToken | undefined> {
  if (context.readTextFile === undefined) return undefined;
  const { address, isNamed } = metadataServer(context.env);
  if (/^(1|t|true|yes|on)$/i.test(context.env.NO_GCE_CHECK ?? "")) {
    tried.push(`${address} (skipped: NO_GCE_CHECK)`);
    return undefined;
  }
  const token = await metadataToken(context, address, isNamed || context.hasMetadata);
  tried.push(token === undefined ? `${address} (no token)` : address);
  return token;
}

function metadataServer(env: Environment): { address: string; isNamed: boolean } {
  const named = env.GCE_METADATA_HOST ?? "";
  if (named === "") return { address: `http://${DEFAULT_HOST}`, isNamed: false };
  if (/^[A-Za-z0-9.-]+(:\d{1,5})?$|^\[[0-9a-fA-F:]+\](:\d{1,5})?$/.test(named)) {
    return { address: `http://${named}`, isNamed: true };
  }
  throw new ConfigError("Cannot use GCE_METADATA_HOST: expected <host> or <host>:<port>");
}

/** `undefined` if there is no metadata server, unless one is expected, or if the machine has no service account. */
async function metadataToken(
  context: TokenContext,
  address: string,
  isExpected: boolean,
): Promise<GoogleToken | undefined> {
  const http = isExpected ? context.http : createHttpClient({ ...context, retries: 0 });
  const source = "the metadata server";
  try {
    const token = await requestOAuthToken(
      { clock: context.clock, http: checkFlavor(http, address) },
      {
        request: {
          url: `${address}/computeMetadata/v1/instance/service-accounts/default/token`,
          headers: { "metadata-flavor": "Google" },
          timeoutMs: isExpected ? METADATA_TIMEOUT_MS : DETECT_TIMEOUT_MS,
          signal: context.signal,
        },
        source,
        advice: "give this machine a service account that may read the bucket",
        secrets: [],
      },
    );
    return { ...token, fromMetadata: true };
  } catch (error) {
    if (error instanceof NotFoundError) return undefined;
    const isSilent = error instanceof RemoteError && error.status === undefined;
    if (isSilent && !isExpected) return undefined;
    throw error;
  }
}

/** A proxy or captive portal that answers in its place does not send the `Metadata-Flavor` header. */
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
      return parseJson(text, request.url, "is this Google's metadata server?");
    },
  };
}
