import * as v from "valibot";
import { ConfigError, CredentialError } from "../../core/error.ts";
import { googleAddress, subjectAddress } from "./host.ts";
import { impersonate } from "./impersonate.ts";
import type { ExternalAccount } from "./schema.ts";
import { askTokenServer, type GoogleToken, type GoogleTokenIo, oauthAnswer } from "./token.ts";

const CLOUD_PLATFORM = "https://www.googleapis.com/auth/cloud-platform";
const SUBJECT_TIMEOUT_MS = 10_000;
const MAX_SUBJECT_BYTES = 256 * 1024;

/**
 * Signs in with a token of another identity provider: workload identity federation.
 *
 * @param io the world.
 * @param account where the subject token comes from, and what it is exchanged for.
 * @param source where it came from, for errors.
 * @returns a token, of the service account where one is named.
 * @throws ConfigError when an address leads elsewhere than to Google; CredentialError when a token is refused.
 * @see https://google.aip.dev/auth/4117
 */
export async function externalAccountToken(
  io: GoogleTokenIo,
  account: ExternalAccount,
  source: string,
): Promise<GoogleToken> {
  const address = (text: string, field: string): string =>
    googleAddress(text, field, io.universe, source);
  const tokenUrl = address(account.token_url, "token_url");
  const { service_account_impersonation_url: target } = account;
  const impersonationUrl = target && address(target, "service_account_impersonation_url");

  const subject = await readSubject(io, account, source);
  const scope = impersonationUrl === undefined ? io.scope : CLOUD_PLATFORM;
  const federated = await exchange(io, account, { tokenUrl, subject, scope, source });
  if (impersonationUrl === undefined) return federated;
  const lifetimeS = account.service_account_impersonation?.token_lifetime_seconds;
  return impersonate(io, federated, { url: impersonationUrl, lifetimeS, source });
}

/** https://cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token */
async function exchange(
  io: GoogleTokenIo,
  account: ExternalAccount,
  what: { tokenUrl: string; subject: string; scope: string; source: string },
): Promise<GoogleToken> {
  const { client_id: id, client_secret: secret = "", workforce_pool_user_project } = account;
  const form = new URLSearchParams({
    grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
    requested_token_type: "urn:ietf:params:oauth:token-type:access_token",
    audience: account.audience,
    scope: what.scope,
    subject_token: what.subject,
    subject_token_type: account.subject_token_type,
  });
  if (id === undefined && workforce_pool_user_project !== undefined) {
    form.set("options", JSON.stringify({ userProject: workforce_pool_user_project }));
  }
  const answer = await askTokenServer(io.http, {
    request: {
      method: "POST",
      url: what.tokenUrl,
      headers: {
        "content-type": "application/x-www-form-urlencoded",
        ...(id === undefined ? {} : { authorization: basic(id, secret) }),
      },
      body: form.toString(),
      signal: io.signal,
    },
    schema: oauthAnswer,
    source: what.source,
    advice: "check the audience, the pool's provider and the subject token",
    secrets: [what.subject, secret],
  });
  return {
    accessToken: answer.access_token,
    expiresAt: io.clock.now() + answer.expires_in * 1000,
    source: what.source,
  };
}

/** https://www.rfc-editor.org/rfc/rfc7617#section-2 */
function basic(id: string, secret: string): string {
  const bytes = new TextEncoder().encode(`${id}:${secret}`);
  return `Basic ${btoa(String.fromCharCode(...bytes))}`;
}

/** The token of the other provider, fresh from its file or server. */
async function readSubject(
  io: GoogleTokenIo,
  account: ExternalAccount,
  source: string,
): Promise<string> {
  const { file, url } = account.credential_source;
  if (file !== undefined) return pick(account, await readFile(io, file, source), source);
  if (url !== undefined) return pick(account, await readUrl(io, account, url, source), source);
  throw new ConfigError(
    `Cannot use ${source}: credential_source has neither file nor url; dewy knows no other source of subject tokens`,
  );
}

async function readFile(io: GoogleTokenIo, path: string, source: string): Promise<string> {
  if (io.readTextFile !== undefined) return io.readTextFile(path);
  throw new ConfigError(
    `Cannot use ${source}: credential_source.file names a file, but there is no file system here`,
  );
}

async function readUrl(
  io: GoogleTokenIo,
  account: ExternalAccount,
  text: string,
  source: string,
): Promise<string> {
  const answer = await io.http.text({
    url: subjectAddress(text, "credential_source.url", source),
    headers: account.credential_source.headers,
    redirect: "error",
    timeoutMs: SUBJECT_TIMEOUT_MS,
    maxBytes: MAX_SUBJECT_BYTES,
    signal: io.signal,
  });
  return answer.text;
}

function pick(account: ExternalAccount, text: string, source: string): string {
  const { format } = account.credential_source;
  const token =
    format.type === "text" ? text.trim() : field(text, format.subject_token_field_name).trim();
  if (token !== "") return token;
  const what = format.type === "text" ? "is empty" : `has no ${format.subject_token_field_name}`;
  throw new CredentialError(
    `Cannot sign in to Google with ${source}: what credential_source leads to ${what}`,
    { retryable: true },
  );
}

function field(json: string, name: string): string {
  try {
    const parsed = v.safeParse(v.record(v.string(), v.unknown()), JSON.parse(json));
    const value = parsed.success && Object.hasOwn(parsed.output, name) ? parsed.output[name] : "";
    return typeof value === "string" ? value : "";
  } catch {
    return "";
  }
}
