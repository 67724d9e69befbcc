import * as v from "valibot";
import { ConfigError, CredentialError } from "../../core/error.ts";
import { parseJsonIfValid } from "../../http/json.ts";
import { CLOUD_PLATFORM, impersonate } from "./account.ts";
import type { ExternalAccount } from "./schema.ts";
import { type GoogleToken, requestOAuthToken, type TokenContext } from "./token.ts";
import { parseGoogleUrl, parseSubjectUrl } from "./universe.ts";

const SUBJECT_TIMEOUT_MS = 10_000;
const MAX_SUBJECT_BYTES = 256 * 1024;

/**
 * Signs in with a token of another identity provider (workload identity federation).
 *
 * @see https://google.aip.dev/auth/4117
 */
export async function externalAccountToken(
  context: TokenContext,
  account: ExternalAccount,
  source: string,
): Promise<GoogleToken> {
  const check = (text: string, field: string): string =>
    parseGoogleUrl({ text, field, source }, context.universe);
  const tokenUrl = check(account.token_url, "token_url");
  const { service_account_impersonation_url: target } = account;
  const impersonationUrl = target && check(target, "service_account_impersonation_url");

  const subject = await readSubject(context, account, source);
  const scope = impersonationUrl === undefined ? context.scope : CLOUD_PLATFORM;
  const federated = await exchange(context, account, { tokenUrl, subject, scope, source });
  if (impersonationUrl === undefined) return federated;
  const lifetimeS = account.service_account_impersonation?.token_lifetime_seconds;
  return impersonate(context, federated, { url: impersonationUrl, lifetimeS, source });
}

/** https://cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token */
async function exchange(
  context: TokenContext,
  account: ExternalAccount,
  exchanged: { tokenUrl: string; subject: string; scope: string; source: string },
): Promise<GoogleToken> {
  const { tokenUrl, subject, scope, source } = exchanged;
  const { client_id: id, client_secret: secret = "", workforce_pool_user_project } = account;
  const form = new URLSearchParams({
    grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
    requested_token_type: "urn:ietf:params:oauth:token-type:access_token",
    audience: account.audience,
    scope,
    subject_token: subject,
    subject_token_type: account.subject_token_type,
  });
  if (id === undefined && workforce_pool_user_project !== undefined) {
    form.set("options", JSON.stringify({ userProject: workforce_pool_user_project }));
  }
  return requestOAuthToken(context, {
    request: {
      method: "POST",
      url: tokenUrl,
      headers: {
        "content-type": "application/x-www-form-urlencoded",
        ...(id !== undefined && { authorization: basic(id, secret) }),
      },
      body: form.toString(),
      signal: context.signal,
    },
    source,
    advice: "check the audience, the pool's provider and the subject token",
    secrets: [subject, secret],
  });
}

/** https://www.rfc-editor.org/rfc/rfc7617#section-2 */
function basic(id: string, secret: string): string {
  const bytes = new TextEncoder().encode(`${id}:${secret}`);
  return `Basic ${btoa(String.fromCharCode(...bytes))}`;
}

async function readSubject(
  context: TokenContext,
  account: ExternalAccount,
  source: string,
): Promise<string> {
  const { file, url } = account.credential_source;
  if (file !== undefined) return pickToken(account, await readFile(context, file, source), source);
  if (url !== undefined) {
    return pickToken(account, await readUrl(context, account, url, source), source);
  }
  throw new ConfigError(
    `Cannot use ${source}: credential_source has neither file nor url; dewy supports no other source of subject tokens`,
  );
}

async function readFile(
  { readTextFile }: TokenContext,
  path: string,
  source: string,
): Promise<string> {
  if (readTextFile !== undefined) return readTextFile(path);
  throw new ConfigError(
    `Cannot use ${source}: credential_source.file names a file, but there is no file system here`,
  );
}

async function readUrl(
  { http, signal }: TokenContext,
  account: ExternalAccount,
  text: string,
  source: string,
): Promise<string> {
  const response = await http.text({
    url: parseSubjectUrl({ text, field: "credential_source.url", source }),
    headers: account.credential_source.headers,
    redirect: "error",
    timeoutMs: SUBJECT_TIMEOUT_MS,
    maxBytes: MAX_SUBJECT_BYTES,
    signal,
  });
  return response.text;
}

function pickToken(account: ExternalAccount, text: string, source: string): string {
  const { format } = account.credential_source;
  const token =
    format.type === "text" ? text.trim() : fieldOf(text, format.subject_token_field_name).trim();
  if (token !== "") return token;
  const problem = format.type === "text" ? "is empty" : `has no ${format.subject_token_field_name}`;
  throw new CredentialError(
    `Cannot sign in to Google with ${source}: the subject token from credential_source ${problem}`,
    { retryable: true },
  );
}

const Fields = v.record(v.string(), v.unknown());

function fieldOf(json: string, name: string): string {
  const parsed = v.safeParse(Fields, parseJsonIfValid(json));
  const value = parsed.success && Object.hasOwn(parsed.output, name) ? parsed.output[name] : "";
  return typeof value === "string" ? value : "";
}
