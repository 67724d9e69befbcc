import { ConfigError } from "../../core/error.ts";
import { messageOf } from "../../core/message_of.ts";
import { authorizedUserToken, serviceAccountToken } from "./account.ts";
import { externalAccountToken } from "./external.ts";
import { assertUniverse } from "./host.ts";
import { impersonatedToken } from "./impersonate.ts";
import { type MetadataIo, metadataAddress, metadataToken } from "./metadata.ts";
import { type CredentialFile, parseCredentialFile } from "./schema.ts";
import type { GoogleToken } from "./token.ts";

const VARIABLE = "GOOGLE_APPLICATION_CREDENTIALS";
const FILE = "application_default_credentials.json";

/**
 * Gets a token from the first source that has credentials: `GOOGLE_APPLICATION_CREDENTIALS` (a path, or the JSON
 * itself), what gcloud left in its directory, the metadata server.
 *
 * @param io the world.
 * @param looked gets a line for every place that was looked at.
 * @returns the token; `undefined` when there are no credentials.
 * @throws ConfigError for credentials that cannot be used; CredentialError for those that are refused; RemoteError when
 * a token server cannot be reached.
 * @see https://cloud.google.com/docs/authentication/application-default-credentials#order
 */
export async function findGoogleToken(
  io: MetadataIo,
  looked: string[],
): Promise<GoogleToken | undefined> {
  const token =
    (await fromVariable(io, looked)) ??
    (await fromGcloud(io, looked)) ??
    (await fromMachine(io, looked));
  const quotaProject = io.env.GOOGLE_CLOUD_QUOTA_PROJECT ?? "";
  return token === undefined || quotaProject === "" ? token : { ...token, quotaProject };
}

async function fromVariable(io: MetadataIo, looked: string[]): Promise<GoogleToken | undefined> {
  const value = io.env[VARIABLE] ?? "";
  if (value === "") {
    looked.push(`${VARIABLE} (not set)`);
    return undefined;
  }
  looked.push(VARIABLE);
  if (value.startsWith("{")) return fileToken(io, value, VARIABLE);
  if (io.readTextFile === undefined) {
    throw new ConfigError(
      `Cannot read the file that ${VARIABLE} names: there is no file system here; put the JSON itself into it`,
    );
  }
  const json = await io.readTextFile(value).catch((cause: unknown) => {
    throw new ConfigError(`Cannot use ${VARIABLE}: ${messageOf(cause)}`, { cause });
  });
  return fileToken(io, json, `${VARIABLE} (${value})`);
}

async function fromGcloud(io: MetadataIo, looked: string[]): Promise<GoogleToken | undefined> {
  const path = gcloudFile(io.env);
  if (io.readTextFile === undefined || path === undefined) return undefined;
  let json: string;
  try {
    json = await io.readTextFile(path);
  } catch (error) {
    looked.push(`${path} (${isAbsent(error) ? "not there" : "cannot be read"})`);
    return undefined;
  }
  looked.push(path);
  return fileToken(io, json, path);
}

/** https://cloud.google.com/docs/authentication/application-default-credentials#personal */
function gcloudFile(env: MetadataIo["env"]): string | undefined {
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

/** A host's error carries that of its system. */
function isAbsent(error: unknown): boolean {
  const codeOf = (value: unknown): unknown =>
    typeof value === "object" && value !== null && "code" in value ? value.code : undefined;
  const cause = error instanceof Error ? error.cause : undefined;
  return [error, cause].some((value) => codeOf(value) === "ENOENT" || codeOf(value) === "ENOTDIR");
}

async function fromMachine(io: MetadataIo, looked: string[]): Promise<GoogleToken | undefined> {
  if (io.readTextFile === undefined) return undefined;
  const { address } = metadataAddress(io.env);
  if (/^(1|t|true|yes|on)$/i.test(io.env.NO_GCE_CHECK ?? "")) {
    looked.push(`${address} (not asked: NO_GCE_CHECK)`);
    return undefined;
  }
  const token = await metadataToken(io);
  looked.push(token === undefined ? `${address} (gave no token)` : address);
  return token;
}

async function fileToken(io: MetadataIo, json: string, source: string): Promise<GoogleToken> {
  const file = parseCredentialFile(json, source);
  assertUniverse(file.universe_domain, io.universe, source);
  const token = await tokenOf(io, file, source);
  const { quota_project_id: quotaProject } = file;
  return quotaProject === undefined ? token : { ...token, quotaProject };
}

function tokenOf(io: MetadataIo, file: CredentialFile, source: string): Promise<GoogleToken> {
  switch (file.type) {
    case "service_account":
      return serviceAccountToken(io, file, source);
    case "authorized_user":
      return authorizedUserToken(io, file, source);
    case "external_account":
      return externalAccountToken(io, file, source);
    case "impersonated_service_account":
      return impersonatedToken(io, file, source);
  }
}
