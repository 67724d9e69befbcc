import { beforeEach, describe, expect, test } from "vitest";
import { GoogleAuth, type GoogleAuthContext } from "../../../src/auth/google/client.ts";
import { HostError } from "../../../src/core/error.ts";
import { type FakeClock, fakeClock } from "../../fakes/clock.ts";
import {
  ACCOUNT,
  type FakeIdentity,
  FEDERATION,
  fakeIdentity,
  IMPERSONATION_URL,
  serviceAccountKey,
  USER,
} from "../../fakes/gcs_auth.ts";

const SCOPE = "https://www.googleapis.com/auth/devstorage.read_write";
const WELL_KNOWN = "/home/me/.config/gcloud/application_default_credentials.json";
const MINUTE_MS = 60_000;

let clock: FakeClock;
let google: FakeIdentity;
let files: Record<string, string>;

beforeEach(() => {
  clock = fakeClock({ skipUpTo: 0 });
  google = fakeIdentity(clock.now);
  files = {};
});

interface Options {
  env?: GoogleAuthContext["env"];
  /** Without files. */
  onEdge?: boolean;
}

function open({ env = {}, onEdge = false }: Options = {}): GoogleAuth {
  const readTextFile = async (path: string): Promise<string> => {
    const text = files[path];
    if (text !== undefined) return text;
    const cause = Object.assign(new Error("no such file"), { code: "ENOENT" });
    throw new HostError(`Cannot read "${path}"`, { cause, retryable: false });
  };
  return new GoogleAuth(
    {
      env: { HOME: "/home/me", ...env },
      fetch: google.fetch,
      clock,
      emit: () => {},
      random: () => 0,
      ...(onEdge ? {} : { readTextFile }),
    },
    SCOPE,
  );
}

function inline(file: object): Options {
  return { env: { GOOGLE_APPLICATION_CREDENTIALS: JSON.stringify(file) } };
}

async function tokenOf(auth: GoogleAuth): Promise<string | undefined> {
  return (await auth.headers()).authorization?.replace("Bearer ", "");
}

describe("sources of credentials", () => {
  test("GOOGLE_APPLICATION_CREDENTIALS names a file", async () => {
    files["/key.json"] = JSON.stringify(serviceAccountKey());
    const auth = open({ env: { GOOGLE_APPLICATION_CREDENTIALS: "/key.json" } });
    expect(google.tokens).toContain(await tokenOf(auth));
    expect(auth.source).toBe("GOOGLE_APPLICATION_CREDENTIALS (/key.json)");
  });

  test("GOOGLE_APPLICATION_CREDENTIALS may hold the JSON itself, also without a file system", async () => {
    const auth = open({ ...inline(serviceAccountKey()), onEdge: true });
    expect(google.tokens).toContain(await tokenOf(auth));
  });

  test("a named file that cannot be read is an error, not anonymous access", async () => {
    const env = { GOOGLE_APPLICATION_CREDENTIALS: "/missing.json" };
    await expect(open({ env }).headers()).rejects.toMatchObject({
      code: "config",
      message: expect.stringContaining("Cannot use GOOGLE_APPLICATION_CREDENTIALS: "),
    });
    await expect(open({ env, onEdge: true }).headers()).rejects.toMatchObject({
      code: "config",
      message: expect.stringContaining("put the JSON itself into it"),
    });
  });

  test("gcloud's file comes next", async () => {
    files[WELL_KNOWN] = JSON.stringify(USER);
    google.hasMetadata = true;
    const auth = open();
    expect(await tokenOf(auth)).toMatch(/^ya29\.user/);
    expect(auth.source).toBe(WELL_KNOWN);
  });

  test("CLOUDSDK_CONFIG names gcloud's directory", async () => {
    files["/gcloud/application_default_credentials.json"] = JSON.stringify(USER);
    const auth = open({ env: { CLOUDSDK_CONFIG: "/gcloud" } });
    expect(await tokenOf(auth)).toMatch(/^ya29\.user/);
  });

  test("the metadata server comes last", async () => {
    google.hasMetadata = true;
    const auth = open();
    expect(await tokenOf(auth)).toMatch(/^ya29\.machine/);
    expect(auth.source).toBe("the metadata server");
  });

  test("without credentials, access is anonymous and the sources tried are reported", async () => {
    const auth = open();
    expect(await auth.headers()).toEqual({});
    expect(auth.source).toBeUndefined();
    expect(auth.tried).toEqual([
      "GOOGLE_APPLICATION_CREDENTIALS (not set)",
      `${WELL_KNOWN} (not found)`,
      "http://metadata.google.internal (no token)",
    ]);
  });

  test("without a file system, the metadata server is not asked", async () => {
    google.hasMetadata = true;
    expect(await open({ onEdge: true }).headers()).toEqual({});
    expect(google.requests).toEqual([]);
  });
});

describe("the metadata server", () => {
  test("is not asked when NO_GCE_CHECK says so", async () => {
    google.hasMetadata = true;
    const auth = open({ env: { NO_GCE_CHECK: "true" } });
    expect(await auth.headers()).toEqual({});
    expect(google.requests).toEqual([]);
  });

  test("is given up quickly if nothing answers", async () => {
    google.intercept(() => new Promise<Response>(() => {}));
    const headers = open().headers();
    await clock.sleeping(1_500);
    clock.advance(1_500);
    expect(await headers).toEqual({});
    expect(google.requests).toHaveLength(1);
  });

  test("is ignored without the Metadata-Flavor header", async () => {
    google.hasMetadata = true;
    google.intercept(() => Response.json({ access_token: "portal", expires_in: 3600 }));
    expect(await open().headers()).toEqual({});
    google.intercept(() => new Response("log in first", { status: 403 }));
    expect(await open().headers()).toEqual({});
  });

  test("without a service account is not an error", async () => {
    const headers = { "metadata-flavor": "Google" };
    google.intercept(() => new Response("no account", { status: 404, headers }));
    expect(await open().headers()).toEqual({});
  });

  test("that fails is an error, not anonymous access", async () => {
    const headers = { "metadata-flavor": "Google" };
    google.intercept(() => new Response("busy", { status: 503, headers }));
    await expect(open().headers()).rejects.toMatchObject({ code: "remote", status: 503 });
  });

  test("that answered before must answer again", async () => {
    google.hasMetadata = true;
    const auth = open();
    await auth.headers();
    google.hasMetadata = false;
    auth.forget();
    await expect(auth.headers()).rejects.toMatchObject({ code: "remote" });
  });

  test("named by GCE_METADATA_HOST must answer", async () => {
    const env = { GCE_METADATA_HOST: "metadata.google.internal" };
    await expect(open({ env }).headers()).rejects.toMatchObject({ code: "remote" });
    await expect(open({ env: { GCE_METADATA_HOST: "a/b?c" } }).headers()).rejects.toMatchObject({
      code: "config",
    });
  });
});

describe("a token", () => {
  test("is renewed five minutes before it expires", async () => {
    const auth = open(inline(serviceAccountKey()));
    const first = await tokenOf(auth);
    clock.advance(google.lifetimeS * 1000 - 5 * MINUTE_MS - 1);
    expect(await tokenOf(auth)).toBe(first);
    clock.advance(1);
    expect(await tokenOf(auth)).not.toBe(first);
    expect(google.requests).toHaveLength(2);
  });

  test("that is short-lived is used for half its lifetime", async () => {
    google.lifetimeS = 60;
    const auth = open(inline(serviceAccountKey()));
    const first = await tokenOf(auth);
    clock.advance(29_999);
    expect(await tokenOf(auth)).toBe(first);
    clock.advance(1);
    expect(await tokenOf(auth)).not.toBe(first);
  });

  test("is requested once for concurrent callers", async () => {
    const auth = open(inline(serviceAccountKey()));
    const tokens = await Promise.all([tokenOf(auth), tokenOf(auth), tokenOf(auth)]);
    expect(new Set(tokens).size).toBe(1);
    expect(google.requests).toHaveLength(1);
  });

  test("still arrives for the others if one caller aborts", async () => {
    const auth = open(inline(serviceAccountKey()));
    const leaving = new AbortController();
    const first = auth.headers(leaving.signal);
    const second = tokenOf(auth);
    leaving.abort();
    await expect(first).rejects.toMatchObject({ code: "aborted" });
    expect(google.tokens).toContain(await second);
    expect(google.requests).toHaveLength(1);
  });

  test("that is still valid is kept if it cannot be renewed", async () => {
    const auth = open(inline(serviceAccountKey()));
    const first = await tokenOf(auth);
    clock.advance(google.lifetimeS * 1000 - 4 * MINUTE_MS);
    const down = (): Response => new Response("", { status: 503 });
    for (let attempt = 0; attempt < 4; attempt += 1) google.intercept(down);
    expect(await tokenOf(auth)).toBe(first);
    expect(google.requests).toHaveLength(5);
    expect(await tokenOf(auth)).toBe(first);
    expect(google.requests).toHaveLength(5);
    clock.advance(MINUTE_MS);
    expect(await tokenOf(auth)).not.toBe(first);
  });

  test("of a revoked key is not kept", async () => {
    const auth = open(inline(serviceAccountKey()));
    await auth.headers();
    clock.advance(google.lifetimeS * 1000 - 4 * MINUTE_MS);
    google.intercept(() => Response.json({ error: "invalid_grant" }, { status: 400 }));
    await expect(auth.headers()).rejects.toMatchObject({ code: "credential" });
  });

  test("carries the quota project", async () => {
    const file = { ...USER, quota_project_id: "of-file" };
    const own = await open(inline(file)).headers();
    expect(own["x-goog-user-project"]).toBe("of-file");
    const { env } = inline(file);
    const other = await open({ env: { ...env, GOOGLE_CLOUD_QUOTA_PROJECT: "of-env" } }).headers();
    expect(other["x-goog-user-project"]).toBe("of-env");
  });
});

describe("kinds of credentials", () => {
  test("a key file is read again at every renewal", async () => {
    files["/key.json"] = JSON.stringify(serviceAccountKey());
    const auth = open({ env: { GOOGLE_APPLICATION_CREDENTIALS: "/key.json" } });
    expect(await tokenOf(auth)).toMatch(/^ya29\.sa/);
    files["/key.json"] = JSON.stringify(USER);
    auth.forget();
    expect(await tokenOf(auth)).toMatch(/^ya29\.user/);
  });

  test("a subject token comes from a file", async () => {
    files["/subject"] = `${google.subject}\n`;
    const file = { ...FEDERATION, credential_source: { file: "/subject" } };
    expect(await tokenOf(open(inline(file)))).toMatch(/^ya29\.sts/);
    expect(google.bodies).toEqual([
      {
        grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
        requested_token_type: "urn:ietf:params:oauth:token-type:access_token",
        audience: FEDERATION.audience,
        scope: SCOPE,
        subject_token: google.subject,
        subject_token_type: FEDERATION.subject_token_type,
      },
    ]);
  });

  test("a subject token comes from a server's JSON, and a service account is impersonated", async () => {
    const file = {
      ...FEDERATION,
      service_account_impersonation_url: IMPERSONATION_URL,
      service_account_impersonation: { token_lifetime_seconds: 1200 },
      credential_source: {
        url: "https://ci.example/token",
        headers: { authorization: "bearer of-ci" },
        format: { type: "json", subject_token_field_name: "value" },
      },
    };
    google.intercept((request) =>
      request.headers.get("authorization") === "bearer of-ci"
        ? Response.json({ value: google.subject })
        : new Response("", { status: 401 }),
    );
    expect(await tokenOf(open({ ...inline(file), onEdge: true }))).toMatch(/^ya29\.acting/);
    expect(google.bodies[0]).toMatchObject({
      scope: "https://www.googleapis.com/auth/cloud-platform",
    });
    expect(google.bodies[1]).toEqual({ scope: [SCOPE], lifetime: "1200s" });
  });

  test("a user impersonates a service account", async () => {
    const file = {
      type: "impersonated_service_account",
      service_account_impersonation_url: IMPERSONATION_URL,
      delegates: ["projects/-/serviceAccounts/between"],
      source_credentials: USER,
    };
    expect(await tokenOf(open(inline(file)))).toMatch(/^ya29\.acting/);
    expect(google.bodies[1]).toMatchObject({ delegates: ["projects/-/serviceAccounts/between"] });
  });

  test("a workforce pool sends its project, and a client its secret", async () => {
    files["/subject"] = google.subject;
    const file = { ...FEDERATION, credential_source: { file: "/subject" } };
    await open(inline({ ...file, workforce_pool_user_project: "42" })).headers();
    expect(google.bodies[0]).toMatchObject({ options: '{"userProject":"42"}' });
    let authorization: string | null = null;
    google.intercept((request) => {
      authorization = request.headers.get("authorization");
      return undefined;
    });
    await open(inline({ ...file, client_id: "me", client_secret: "pä" })).headers();
    expect(authorization).toBe(`Basic ${Buffer.from("me:pä").toString("base64")}`);
  });
});

describe("unusable credentials", () => {
  const federated = { ...FEDERATION, credential_source: { file: "/subject" } };

  test.each([
    ["invalid JSON", "{", "is not JSON"],
    ["another type", { type: "gdch_service_account" }, "type should be"],
    ["a missing field", { ...serviceAccountKey(), private_key: "" }, "private_key should be"],
    ["a damaged key", { ...serviceAccountKey(), private_key: "secret-pem" }, "RSA private key"],
    ["plain HTTP", { ...serviceAccountKey(), token_uri: "http://a.test/" }, "not an https://"],
    ["another cloud", { ...USER, universe_domain: "evil.test" }, 'for "evil.test"'],
    ["tokens to elsewhere", { ...federated, token_url: "https://a.test/v1/token" }, "a.test"],
    [
      "a look-alike of Google",
      { ...federated, token_url: "https://sts.evilgoogleapis.com/" },
      "not in googleapis.com",
    ],
    [
      "impersonation elsewhere",
      { ...federated, service_account_impersonation_url: "https://a.test/x" },
      "a.test",
    ],
    [
      "a subject of plain HTTP",
      { ...FEDERATION, credential_source: { url: "http://10.0.0.1/token" } },
      "not an https://",
    ],
    [
      "a subject of AWS",
      { ...FEDERATION, credential_source: { environment_id: "aws1" } },
      "neither file nor url",
    ],
  ])("%s: an error names the field, and nothing is sent", async (_, file, message) => {
    files["/subject"] = google.subject;
    const json = typeof file === "string" ? file : JSON.stringify(file);
    const failed = open({ env: { GOOGLE_APPLICATION_CREDENTIALS: json } }).headers();
    await expect(failed).rejects.toMatchObject({
      code: "config",
      message: expect.stringContaining(message),
    });
    await expect(failed).rejects.not.toMatchObject({ message: expect.stringContaining("secret") });
    expect(google.requests).toEqual([]);
  });

  test("a subject token may come over plain HTTP from this machine or its platform", async () => {
    for (const url of ["http://127.0.0.1:9/t", "http://localhost/t", "http://169.254.169.254/t"]) {
      google.intercept(() => new Response(google.subject));
      const file = { ...FEDERATION, credential_source: { url } };
      expect(await tokenOf(open(inline(file)))).toMatch(/^ya29\.sts/);
    }
  });

  test("a redirect of a token server is not followed", async () => {
    google.intercept(() => Response.redirect("https://sts.googleapis.com/v1/token", 307));
    await expect(open(inline(USER)).headers()).rejects.toMatchObject({
      code: "remote",
      message: expect.stringContaining("a redirect is not expected here"),
    });
    expect(google.requests).toHaveLength(1);
  });

  test("a refused refresh token is reported with advice, but never shown", async () => {
    const file = { ...USER, refresh_token: "another-refresh-token" };
    const failed = open(inline(file)).headers();
    await expect(failed).rejects.toMatchObject({
      code: "credential",
      message: expect.stringMatching(
        /GOOGLE_APPLICATION_CREDENTIALS.*invalid_grant: Token has been revoked: ….*gcloud auth application-default login/,
      ),
    });
  });

  test("a wrong clock is suggested", async () => {
    google = fakeIdentity(() => clock.now() + 7_200_000);
    await expect(open(inline(serviceAccountKey())).headers()).rejects.toMatchObject({
      code: "credential",
      message: expect.stringContaining("this machine's clock wrong"),
    });
  });

  test("a refused impersonation names the service account", async () => {
    files["/subject"] = google.subject;
    const file = { ...federated, service_account_impersonation_url: IMPERSONATION_URL };
    google.intercept(() => Response.json({ access_token: "ya29.unknown", expires_in: 3600 }));
    await expect(open(inline(file)).headers()).rejects.toMatchObject({
      code: "credential",
      message: expect.stringMatching(`${ACCOUNT}.*Permission denied.*Token Creator`),
    });
  });

  test("an empty subject token is retryable", async () => {
    files["/subject"] = "\n";
    await expect(open(inline(federated)).headers()).rejects.toMatchObject({
      code: "credential",
      retryable: true,
    });
  });

  test("a malformed token is an error that names the field", async () => {
    google.intercept(() => Response.json({ access_token: "x", expires_in: "soon" }));
    await expect(open(inline(USER)).headers()).rejects.toMatchObject({
      code: "remote",
      message: expect.stringContaining("expires_in should be number"),
    });
  });

  test("credentials of another cloud are used if the operator configures its universe", async () => {
    const file = {
      ...federated,
      token_url: "https://sts.sovereign.test/v1/token",
      universe_domain: "sovereign.test",
    };
    files["/subject"] = google.subject;
    google.intercept((request) =>
      request.url === "https://sts.sovereign.test/v1/token"
        ? Response.json({ access_token: "other", expires_in: 3600 })
        : undefined,
    );
    const { env } = inline(file);
    const auth = open({ env: { ...env, GOOGLE_CLOUD_UNIVERSE_DOMAIN: "sovereign.test" } });
    expect(await tokenOf(auth)).toBe("other");
  });
});
