import { createVerify, generateKeyPairSync, type KeyObject } from "node:crypto";
import { fetchOf, type Handler } from "./handler.ts";

/** Google's identity servers; a test may change the state. */
export interface FakeIdentity {
  handler: Handler;
  /** Replaces the network. */
  fetch: typeof globalThis.fetch;
  /** Every request, in order: `POST https://oauth2.googleapis.com/token`. */
  readonly requests: string[];
  /** The forms and JSON bodies of the requests, in order. */
  readonly bodies: Record<string, unknown>[];
  /** Valid tokens. */
  readonly tokens: Set<string>;
  lifetimeS: number;
  /** Whether the metadata server exists. */
  hasMetadata: boolean;
  /** The valid subject token. */
  subject: string;
  /** Answers the next request instead; `undefined` lets it pass. */
  intercept(answer: (request: Request) => Response | undefined | Promise<Response>): void;
}

export const ACCOUNT = "dewy@project.iam.gserviceaccount.com";
const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });

/** The content of a service account's key file. */
export function serviceAccountKey(): Record<string, string> {
  return {
    type: "service_account",
    project_id: "project",
    private_key_id: "k1",
    private_key: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    client_email: ACCOUNT,
    token_uri: "https://oauth2.googleapis.com/token",
    universe_domain: "googleapis.com",
  };
}

/** Written by gcloud for a user. */
export const USER = {
  type: "authorized_user",
  client_id: "client.apps.example",
  client_secret: "client-secret-of-gcloud",
  refresh_token: "refresh-token-of-a-person",
} as const;

/** Workload identity federation, without its `credential_source`. */
export const FEDERATION: Readonly<
  Record<"type" | "audience" | "subject_token_type" | "token_url", string>
> = {
  type: "external_account",
  audience: "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q",
  subject_token_type: "urn:ietf:params:oauth:token-type:jwt",
  token_url: "https://sts.googleapis.com/v1/token",
};

/** Issues tokens of the service account for impersonation. */
export const IMPERSONATION_URL: string = `https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/${ACCOUNT}:generateAccessToken`;

/** Google's identity servers: OAuth, STS, IAM credentials and the metadata server. */
export function fakeIdentity(now: () => number): FakeIdentity {
  const interceptors: ((request: Request) => Response | undefined | Promise<Response>)[] = [];
  let issued = 0;

  const issue = (kind: string): string => {
    issued += 1;
    const token = `ya29.${kind}-${issued}`;
    fake.tokens.add(token);
    return token;
  };
  const oauth = (kind: string): Response =>
    Response.json({
      access_token: issue(kind),
      expires_in: fake.lifetimeS,
      token_type: "Bearer",
    });

  const handler: Handler = async (request) => {
    const url = new URL(request.url);
    fake.requests.push(`${request.method} ${url.origin}${url.pathname}`);
    for (const [at, interceptor] of interceptors.entries()) {
      const answer = await interceptor(request);
      if (answer === undefined) continue;
      interceptors.splice(at, 1);
      return answer;
    }
    if (url.hostname === "metadata.google.internal") return metadata(request);
    const body = await readBody(request);
    fake.bodies.push(body);
    switch (`${request.method} ${url.origin}${url.pathname}`) {
      case "POST https://oauth2.googleapis.com/token":
        return answerOauth(body);
      case "POST https://sts.googleapis.com/v1/token":
        if (body.subject_token !== fake.subject) return refusal("invalid_grant", "bad subject");
        if (body.audience !== FEDERATION.audience) return refusal("invalid_target", "audience");
        return oauth("sts");
      case `POST ${IMPERSONATION_URL}`:
        return impersonate(request, body);
      default:
        throw new TypeError(`the fake does not know ${request.url}`);
    }
  };

  function answerOauth(body: Record<string, unknown>): Response {
    if (body.grant_type === "refresh_token") {
      const known = USER.refresh_token === body.refresh_token;
      const client = USER.client_secret === body.client_secret;
      return known && client
        ? oauth("user")
        : refusal("invalid_grant", `Token has been revoked: ${body.refresh_token}`);
    }
    const problem = checkAssertion(String(body.assertion), publicKey, now() / 1000);
    return problem === undefined ? oauth("sa") : refusal("invalid_grant", problem);
  }

  function impersonate(request: Request, body: Record<string, unknown>): Response {
    const caller = request.headers.get("authorization")?.replace(/^Bearer /, "") ?? "";
    if (!fake.tokens.has(caller)) {
      const error = { code: 403, message: "Permission denied", status: "PERMISSION_DENIED" };
      return Response.json({ error }, { status: 403 });
    }
    const seconds = Number.parseInt(String(body.lifetime), 10);
    return Response.json({
      accessToken: issue("acting"),
      expireTime: new Date(now() + seconds * 1000).toISOString(),
    });
  }

  function metadata(request: Request): Response {
    if (!fake.hasMetadata) throw new TypeError("getaddrinfo ENOTFOUND metadata.google.internal");
    const headers = { "metadata-flavor": "Google" };
    if (request.headers.get("metadata-flavor") !== "Google") {
      return new Response("Missing Metadata-Flavor:Google header.", { status: 403, headers });
    }
    const { pathname } = new URL(request.url);
    if (pathname !== "/computeMetadata/v1/instance/service-accounts/default/token") {
      return new Response("not found", { status: 404, headers });
    }
    const answer = { access_token: issue("machine"), expires_in: fake.lifetimeS };
    return Response.json({ ...answer, token_type: "Bearer" }, { headers });
  }

  const fake: FakeIdentity = {
    handler,
    fetch: fetchOf(handler),
    requests: [],
    bodies: [],
    tokens: new Set(),
    lifetimeS: 3599,
    hasMetadata: false,
    subject: "subject-token-of-another-provider",
    intercept: (answer) => void interceptors.push(answer),
  };
  return fake;
}

async function readBody(request: Request): Promise<Record<string, unknown>> {
  const text = await request.text();
  if (request.headers.get("content-type") === "application/json") return JSON.parse(text);
  return Object.fromEntries(new URLSearchParams(text));
}

function refusal(error: string, description: string): Response {
  return Response.json({ error, error_description: description }, { status: 400 });
}

/** https://developers.google.com/identity/protocols/oauth2/service-account#jwt-auth */
function checkAssertion(jwt: string, key: KeyObject, nowS: number): string | undefined {
  const [head = "", claims = "", signature = ""] = jwt.split(".");
  const decode = (part: string): Record<string, unknown> =>
    JSON.parse(Buffer.from(part, "base64url").toString());
  const { alg, kid } = decode(head);
  if (alg !== "RS256" || kid !== "k1") return "Invalid JWT header.";
  const verifier = createVerify("RSA-SHA256").update(`${head}.${claims}`);
  if (!verifier.verify(key, signature, "base64url")) return "Invalid JWT Signature.";
  const { iss, aud, iat, exp, scope } = decode(claims);
  if (iss !== ACCOUNT || aud !== "https://oauth2.googleapis.com/token") return "Invalid issuer.";
  if (!String(scope).startsWith("https://www.googleapis.com/auth/")) return "Invalid scope.";
  const [from, to] = [Number(iat), Number(exp)];
  if (from > nowS + 5 || to <= nowS || to - from > 3600) {
    return "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe.";
  }
  return undefined;
}
