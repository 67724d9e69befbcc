import * as v from "valibot";
import type { Context } from "../../../core/context.ts";
import { CredentialError, RemoteError } from "../../../core/error.ts";
import type { HttpClient, HttpRequest } from "../../../http/client.ts";
import { parseResponse } from "../errors.ts";
import type { OciCredential } from "./credential.ts";

/** Without `readTextFile` (on the edge), the metadata service is not asked either. */
export interface AzureContext extends Pick<Context, "env" | "readTextFile"> {
  http: HttpClient;
  /** Does not retry: a machine outside of Azure has no metadata service. */
  probe: HttpClient;
}

const SCOPE = "https://containerregistry.azure.net";
const METADATA = "http://169.254.169.254/metadata/identity/oauth2/token";
const METADATA_TIMEOUT_MS = 1_000;
const ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const token = v.pipe(v.string(), v.regex(/^[\x21-\x7e]+$/));
const AccessToken = v.object({ access_token: token });
const RefreshToken = v.object({ refresh_token: token });

/** Whether a host is an Azure Container Registry, in any of Azure's clouds. */
export function isAzureRegistry(host: string): boolean {
  return /^[a-z0-9-]+(\.[a-z0-9-]+)*\.azurecr\.(io|cn|us)$/i.test(host);
}

/**
 * Exchanges Azure credentials (a client secret, a workload's federated token, a managed identity) for a refresh token of
 * the registry. `undefined` without Azure credentials.
 *
 * @see https://github.com/Azure/acr/blob/main/docs/AAD-OAuth.md
 */
export async function azureRefreshToken(
  registry: string,
  context: AzureContext,
  signal: AbortSignal | undefined,
): Promise<OciCredential | undefined> {
  const accessToken = await entraToken(context, signal);
  if (accessToken === undefined) return undefined;
  const tenant = context.env.AZURE_TENANT_ID ?? "";
  const request = form(`https://${registry}/oauth2/exchange`, {
    grant_type: "access_token",
    service: registry,
    ...(tenant === "" ? {} : { tenant }),
    access_token: accessToken,
  });
  const response = await send(context.http, { ...request, signal }, `the registry ${registry}`);
  const refresh = parseResponse(RefreshToken, response, request.url).refresh_token;
  return { kind: "refresh", token: refresh };
}

/** https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow */
async function entraToken(
  context: AzureContext,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  const { AZURE_TENANT_ID: tenant = "", AZURE_CLIENT_ID: client = "" } = context.env;
  const proof = tenant === "" || client === "" ? undefined : await clientAssertion(context);
  if (proof === undefined) return managedIdentityToken(context, client, signal);
  const authority = (
    context.env.AZURE_AUTHORITY_HOST || "https://login.microsoftonline.com"
  ).replace(/\/+$/, "");
  if (!authority.startsWith("https://")) {
    throw new CredentialError("Cannot use AZURE_AUTHORITY_HOST: expected an https:// URL");
  }
  const request = form(`${authority}/${encodeURIComponent(tenant)}/oauth2/v2.0/token`, {
    grant_type: "client_credentials",
    client_id: client,
    scope: `${SCOPE}/.default`,
    ...proof,
  });
  const response = await send(context.http, { ...request, signal }, "Microsoft Entra ID");
  return parseResponse(AccessToken, response, request.url).access_token;
}

async function clientAssertion(context: AzureContext): Promise<Record<string, string> | undefined> {
  const { AZURE_CLIENT_SECRET: secret = "", AZURE_FEDERATED_TOKEN_FILE: path = "" } = context.env;
  if (secret !== "") return { client_secret: secret };
  if (path === "" || context.readTextFile === undefined) return undefined;
  const assertion = (await context.readTextFile(path)).trim();
  return { client_assertion_type: ASSERTION, client_assertion: assertion };
}

/**
 * https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference,
 * https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token
 */
async function managedIdentityToken(
  context: AzureContext,
  client: string,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  if (context.readTextFile === undefined) return undefined;
  const { IDENTITY_ENDPOINT: endpoint = "", IDENTITY_HEADER: header = "" } = context.env;
  const isAppService = endpoint !== "" && header !== "";
  const url = new URL(isAppService ? endpoint : METADATA);
  url.searchParams.set("api-version", isAppService ? "2019-08-01" : "2018-02-01");
  url.searchParams.set("resource", SCOPE);
  if (client !== "") url.searchParams.set("client_id", client);
  const headers: Record<string, string> = isAppService
    ? { "x-identity-header": header }
    : { metadata: "true" };
  try {
    const response = await (isAppService ? context.http : context.probe).json({
      url,
      headers,
      signal,
      redirect: "error",
      timeoutMs: METADATA_TIMEOUT_MS,
      accept: isAppService ? [] : [400, 404],
    });
    const found = v.safeParse(AccessToken, response);
    return found.success ? found.output.access_token : undefined;
  } catch (error) {
    // Not on Azure, or a machine without an identity.
    if (!isAppService && error instanceof RemoteError) return undefined;
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

function send(http: HttpClient, request: HttpRequest, peer: string): Promise<unknown> {
  return http.json({
    ...request,
    // Without the body, which may echo the credentials.
    toError: ({ status, url }) =>
      [400, 401, 403].includes(status)
        ? new CredentialError(`Cannot sign in to Azure: ${peer} answered HTTP ${status} (${url})`)
        : undefined,
  });
}
