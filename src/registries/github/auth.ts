import type { CryptoKey } from "jose";
import type { Context } from "../../core/context.ts";
import { ConfigError, CredentialError } from "../../core/error.ts";
import type { HttpClient, HttpFailure } from "../../http/client.ts";
import { installationTokenSchema, parseWire } from "./schema.ts";

export interface GitHubAuth {
  readonly kind: "app" | "token" | "anonymous";
  /** Where it came from, for errors: `GH_TOKEN`. */
  readonly source: string;
  /** A token that is good for some minutes; `undefined` when anonymous. */
  token(signal?: AbortSignal): Promise<string | undefined>;
  /** Drops the cached token after a 401; returns whether a new one can be requested. */
  forget(): boolean;
}

export interface GitHubAuthContext extends Pick<Context, "env" | "clock" | "readTextFile"> {
  http: HttpClient;
  /** The address of the API, without a slash at its end. */
  baseUrl: string;
  /** Takes precedence over the environment. */
  token?: string | undefined;
}

/** A token is replaced this long before it ends, in milliseconds. */
const RENEW_BEFORE_MS = 5 * 60_000;

/**
 * Finds credentials: the option `token`, then a GitHub App, then `GH_TOKEN`, then `GITHUB_TOKEN`; otherwise anonymous.
 * Throws a ConfigError if the variables of an App are incomplete or malformed.
 */
export function githubAuth(io: GitHubAuthContext): GitHubAuth {
  if (io.token !== undefined) return fixedToken("the option token", io.token);
  const app = readApp(io);
  if (app !== undefined) return app;
  for (const source of ["GH_TOKEN", "GITHUB_TOKEN"]) {
    const token = io.env[source];
    if (token === undefined || token === "") continue;
    return fixedToken(source, token);
  }
  return {
    kind: "anonymous",
    source: "nothing",
    token: async () => undefined,
    forget: () => false,
  };
}

function fixedToken(source: string, token: string): GitHubAuth {
  return { kind: "token", source, token: async () => token, forget: () => false };
}

function readApp(io: GitHubAuthContext): GitHubAuth | undefined {
  const appId = io.env.GITHUB_APP_ID || undefined;
  const installationId = io.env.GITHUB_APP_INSTALLATION_ID || undefined;
  const inline = io.env.GITHUB_APP_PRIVATE_KEY || undefined;
  const path = io.env.GITHUB_APP_PRIVATE_KEY_PATH || undefined;
  if ([appId, installationId, inline, path].every((value) => value === undefined)) return undefined;

  const id = number("GITHUB_APP_ID", appId);
  const installation = number("GITHUB_APP_INSTALLATION_ID", installationId);
  if (inline === undefined && path === undefined) {
    throw new ConfigError(
      "Cannot sign in as a GitHub App: set GITHUB_APP_PRIVATE_KEY or GITHUB_APP_PRIVATE_KEY_PATH, too",
    );
  }
  const readKey = async (): Promise<CryptoKey> => {
    const { importAppKey } = await import("../../auth/private_key.ts");
    if (inline !== undefined) return importAppKey(inline, "GITHUB_APP_PRIVATE_KEY");
    if (io.readTextFile === undefined || path === undefined) {
      throw new ConfigError(
        "Cannot use GITHUB_APP_PRIVATE_KEY_PATH: there is no file system here; set GITHUB_APP_PRIVATE_KEY",
      );
    }
    return importAppKey(await io.readTextFile(path), "GITHUB_APP_PRIVATE_KEY_PATH");
  };
  return appAuth(io, id, installation, readKey);
}

function number(name: string, value: string | undefined): string {
  if (value === undefined) {
    throw new ConfigError(`Cannot sign in as a GitHub App: ${name} is not set`);
  }
  if (!/^\d{1,19}$/.test(value)) throw new ConfigError(`Cannot use ${name}: expected a number`);
  return value;
}

function appAuth(
  io: GitHubAuthContext,
  appId: string,
  installationId: string,
  readKey: () => Promise<CryptoKey>,
): GitHubAuth {
  let key: CryptoKey | undefined;
  let current: { token: string; expiresAt: number } | undefined;
  return {
    kind: "app",
    source: "GITHUB_APP_ID",
    async token(signal) {
      if (current !== undefined && io.clock.now() < current.expiresAt - RENEW_BEFORE_MS) {
        return current.token;
      }
      key ??= await readKey();
      const jwt = await signJwt(key, appId, io.clock.now());
      current = await requestToken(io, installationId, jwt, signal);
      return current.token;
    },
    forget() {
      const remembered = current !== undefined;
      current = undefined;
      return remembered;
    },
  };
}

/** https://docs.github.com/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-json-web-token-jwt-for-a-github-app */
async function signJwt(key: CryptoKey, appId: string, now: number): Promise<string> {
  const seconds = Math.floor(now / 1000);
  const { SignJWT } = await import("../../auth/private_key.ts");
  return new SignJWT()
    .setProtectedHeader({ alg: "RS256", typ: "JWT" })
    .setIssuer(appId)
    .setIssuedAt(seconds - 60) // GitHub's clock may be behind ours.
    .setExpirationTime(seconds + 9 * 60)
    .sign(key);
}

/** https://docs.github.com/rest/apps/apps#create-an-installation-access-token-for-an-app */
async function requestToken(
  io: GitHubAuthContext,
  installationId: string,
  jwt: string,
  signal: AbortSignal | undefined,
): Promise<{ token: string; expiresAt: number }> {
  const url = `${io.baseUrl}/app/installations/${installationId}/access_tokens`;
  const answer = await io.http.json({
    url,
    method: "POST",
    headers: {
      accept: "application/vnd.github+json",
      "x-github-api-version": "2022-11-28",
      authorization: `Bearer ${jwt}`,
    },
    idempotent: true, // One token too many does no harm.
    toError: signInError,
    signal,
  });
  const { token, expires_at } = parseWire(installationTokenSchema, answer, url);
  return { token, expiresAt: Date.parse(expires_at) };
}

function signInError(failure: HttpFailure): CredentialError | undefined {
  const { status, message } = failure;
  if (![401, 403, 404].includes(status)) return undefined;
  return new CredentialError(
    `Cannot sign in as a GitHub App: HTTP ${status}${message === "" ? "" : `: ${message}`}; ` +
      "check GITHUB_APP_ID, GITHUB_APP_INSTALLATION_ID, the private key, and the clock",
  );
}
