import * as v from "valibot";
import { CredentialError, RemoteError } from "../../../core/error.ts";
import type { HttpClient, HttpRequest } from "../../../http/client.ts";
import { checkAnswer } from "../error.ts";
import type { OciCredential } from "./credential.ts";

/** What signing in to Azure needs. */
export interface AzureIo {
  /** Environment variables. */
  env: Readonly<Record<string, string | undefined>>;
  /** The client. */
  http: HttpClient;
  /** Asks once, and not again: a machine outside of Azure has no metadata service. */
  probe: HttpClient;
  /** Reads the federated token; absent on the edge, where no metadata service is asked, either. */
  readTextFile?: (path: string) => Promise<string>;
}

const SCOPE = "https://containerregistry.azure.net";
const METADATA = "http://169.254.169.254/metadata/identity/oauth2/token";
const METADATA_TIMEOUT_MS = 1_000;
const ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const token = v.pipe(v.string(), v.regex(/^[\x21-\x7e]+$/));
const AccessToken = v.object({ access_token: token });
const RefreshToken = v.object({ refresh_token: token });

/**
 * Tells whether a host is a registry of Azure.
 *
 * @param host the registry's host.
 * @returns whether it is one, of any of Azure's clouds.
 */
export function isAzureRegistry(host: string): boolean {
  return /^[a-z0-9-]+(\.[a-z0-9-]+)*\.azurecr\.(io|cn|us)$/i.test(host);
}

/**
 * Exchanges Azure credentials (a client's secret, a workload's federated token, a managed identity) for a refresh token
 * of the registry.
 *
 * @param registry the registry's host.
 * @param io the environment and the client.
 * @param signal ends the calls.
 * @returns the refresh token; `undefined` when there are no Azure credentials.
 * @throws CredentialError when they are refused.
 * @see https://github.com/Azure/acr/blob/main/docs/AAD-OAuth.md
 */
export async function azureRefreshToken(
  registry: string,
  io: AzureIo,
  signal: AbortSignal | undefined,
): Promise<OciCredential | undefined> {
  const accessToken = await entraToken(io, signal);
  if (accessToken === undefined) return undefined;
  const tenant = io.env.AZURE_TENANT_ID ?? "";
  const request = form(`https://${registry}/oauth2/exchange`, {
    grant_type: "access_token",
    service: registry,
    ...(tenant === "" ? {} : { tenant }),
    access_token: accessToken,
  });
  const answer = await ask(io.http, { ...request, signal }, `the registry ${registry}`);
  const refresh = checkAnswer(RefreshToken, answer, request.url).refresh_token;
  return { kind: "refresh", token: refresh };
}

/** https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow */
async function entraToken(
  io: AzureIo,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  const { AZURE_TENANT_ID: tenant = "", AZURE_CLIENT_ID: client = "" } = io.env;
  const proof = tenant === "" || client === "" ? undefined : await clientProof(io);
  if (proof === undefined) return managedIdentityToken(io, client, signal);
  const authority = (io.env.AZURE_AUTHORITY_HOST || "https://login.microsoftonline.com").replace(
    /\/+$/,
    "",
  );
  if (!authority.startsWith("https://")) {
    throw new CredentialError("Cannot use AZURE_AUTHORITY_HOST: it is no https:// address");
  }
  const request = form(`${authority}/${encodeURIComponent(tenant)}/oauth2/v2.0/token`, {
    grant_type: "client_credentials",
    client_id: client,
    scope: `${SCOPE}/.default`,
    ...proof,
  });
  const answer = await ask(io.http, { ...request, signal }, "Microsoft Entra ID");
  return checkAnswer(AccessToken, answer, request.url).access_token;
}

async function clientProof(io: AzureIo): Promise<Record<string, string> | undefined> {
  const { AZURE_CLIENT_SECRET: secret = "", AZURE_FEDERATED_TOKEN_FILE: path = "" } = io.env;
  if (secret !== "") return { client_secret: secret };
  if (path === "" || io.readTextFile === undefined) return undefined;
  const assertion = (await io.readTextFile(path)).trim();
  return { client_assertion_type: ASSERTION, client_assertion: assertion };
}

/**
 * https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference,
 * https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token
 */
async function managedIdentityToken(
  io: AzureIo,
  client: string,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  if (io.readTextFile === undefined) return undefined;
  const { IDENTITY_ENDPOINT: endpoint = "", IDENTITY_HEADER: header = "" } = io.env;
  const ofApp = endpoint !== "" && header !== "";
  const url = new URL(ofApp ? endpoint : METADATA);
  url.searchParams.set("api-version", ofApp ? "2019-08-01" : "2018-02-01");
  url.searchParams.set("resource", SCOPE);
  if (client !== "") url.searchParams.set("client_id", client);
  const headers: Record<string, string> = ofApp
    ? { "x-identity-header": header }
    : { metadata: "true" };
  try {
    const answer = await (ofApp ? io.http : io.probe).json({
      url,
      headers,
      signal,
      redirect: "error",
      timeoutMs: METADATA_TIMEOUT_MS,
      ...(ofApp ? {} : { accept: [400, 404] }),
    });
    const found = v.safeParse(AccessToken, answer);
    return found.success ? found.output.access_token : undefined;
  } catch (error) {
    // Not on Azure, or without an identity: nothing to sign in with.
    if (!ofApp && error instanceof RemoteError) return undefined;
    throw error;
  }
}

function form(url: string, fields: Record<string, string>): HttpRequest & { url: string } {
  return {
    method: "POST",
    url,
    headers: { "content-type": "application/x-www-form-urlencoded" },
    body: new URLSearchParams(fields).toString(),
    redirect: "error",
    idempotent: true,
  };
}

function ask(http: HttpClient, request: HttpRequest, who: string): Promise<unknown> {
  return http.json({
    ...request,
    // Nothing of the body is repeated: it may hold what was sent.
    toError: ({ status, url }) =>
      [400, 401, 403].includes(status)
        ? new CredentialError(`Cannot sign in to Azure: ${who} answered HTTP ${status} (${url})`)
        : undefined,
  });
}
