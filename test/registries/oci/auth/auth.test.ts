import { describe, expect, test } from "vitest";
import type { DewyEvent } from "../../../../src/core/event.ts";
import { parseChallenges } from "../../../../src/registries/oci/auth/challenge.ts";
import { readEcrHost } from "../../../../src/registries/oci/auth/ecr.ts";
import { isGoogleRegistry } from "../../../../src/registries/oci/auth/sources.ts";
import { serviceAccountKey } from "../../../fakes/gcs_auth.ts";
import { type FakeOci, type FakeOciOptions, fakeOci } from "../../../fakes/oci.ts";
import { openFakeImg } from "../world.ts";

const USERS = { users: { u: "right-password" } };
const ENV = { DOCKER_USERNAME: "u", DOCKER_PASSWORD: "right-password" };
const WRONG = { DOCKER_USERNAME: "u", DOCKER_PASSWORD: "wrong-password" };
const AUTH = btoa("u:right-password");

function fakeWith(options: FakeOciOptions): FakeOci {
  const fake = fakeOci(options);
  fake.push("v1.0.0");
  return fake;
}

function used(events: readonly DewyEvent[]): string[] {
  return events.flatMap((event) =>
    event.type === "credentials" ? [`${event.source} ${event.outcome}`] : [],
  );
}

/** Calls to the token service. */
function tokenCalls(fake: FakeOci): FakeOci["requests"] {
  return fake.requests.filter(({ call }) => call.includes("/token"));
}

/** Files by path. */
function files(found: Record<string, unknown>): (path: string) => Promise<string> {
  return async (path) => {
    if (path in found) return JSON.stringify(found[path]);
    throw Object.assign(new Error(`no ${path}`), { code: "ENOENT" });
  };
}

describe("WWW-Authenticate", () => {
  const read = (header: string): unknown =>
    parseChallenges(header).map(({ scheme, parameters }) => [
      scheme,
      Object.fromEntries(parameters),
    ]);

  test.each([
    [
      'Bearer realm="https://a/t",service="s, with a comma",scope="repository:a:pull,push"',
      [
        [
          "bearer",
          { realm: "https://a/t", service: "s, with a comma", scope: "repository:a:pull,push" },
        ],
      ],
    ],
    [
      'Basic realm="r", Bearer realm="https://a/t"',
      [
        ["basic", { realm: "r" }],
        ["bearer", { realm: "https://a/t" }],
      ],
    ],
    [
      'Negotiate, BASIC Realm = "a \\"b\\" c", charset=UTF-8',
      [
        ["negotiate", {}],
        ["basic", { realm: 'a "b" c', charset: "UTF-8" }],
      ],
    ],
    [
      "Negotiate dG9rZW4=, Bearer realm=https://a/t?x=1,service=s",
      [
        ["negotiate", {}],
        ["bearer", { realm: "https://a/t?x=1", service: "s" }],
      ],
    ],
    ['Bearer realm="a",realm="b"', [["bearer", { realm: "a" }]]],
    ['Bearer realm="https://a/t', [["bearer", { realm: "" }]]],
    [",, Bearer", [["bearer", {}]]],
    ["", []],
  ])("%s", (header, challenges) => {
    expect(read(header)).toEqual(challenges);
  });

  test("is parsed in linear time for any input", () => {
    for (const part of ['"', "a=", ",", " ", '\\"', "Bearer ", 'a="']) {
      expect(Array.isArray(read(part.repeat(20_000)))).toBe(true);
    }
  });
});

describe("signing in", () => {
  test("no credentials are sent before a challenge", async () => {
    const fake = fakeWith({});
    await openFakeImg(fake, { env: ENV }).registry.resolve();
    expect(fake.requests.every(({ authorization }) => authorization === "")).toBe(true);
  });

  test("Basic uses the first source", async () => {
    const fake = fakeWith({ auth: "basic", ...USERS });
    const { registry, events } = openFakeImg(fake, {
      env: WRONG,
      registryLogin: { username: "u", password: "right-password" },
    });
    expect(await registry.resolve()).toMatchObject({ kind: "ready" });
    expect(used(events)).toEqual(["the options used"]);
  });

  test("Bearer is preferred among several challenges", async () => {
    const challenge = 'Basic realm="x", Bearer realm="https://auth.example/token",service="s"';
    const fake = fakeWith({ auth: "bearer", ...USERS, challenge });
    expect(await openFakeImg(fake, { env: ENV }).registry.resolve()).toMatchObject({
      kind: "ready",
    });
  });

  test.each([
    ["no scope", 'Bearer realm="https://auth.example/token",service="s"'],
    ["an empty scope", 'Bearer realm="https://auth.example/token",service="s",scope=""'],
  ])(
    "a challenge with %s is answered by asking for pull of the repository",
    async (_, challenge) => {
      const fake = fakeWith({ auth: "bearer", ...USERS, challenge });
      await openFakeImg(fake, { env: ENV }).registry.resolve();
      expect(tokenCalls(fake).map(({ call }) => call)).toEqual([
        "GET https://auth.example/token?scope=repository%3Ao%2Fapp%3Apull&service=s",
      ]);
    },
  );

  test("a refresh token is exchanged for pull even if the challenge has no scope", async () => {
    const bodies: string[] = [];
    const challenge = 'Bearer realm="https://auth.example/token",service="s"';
    const fake = fakeWith({ auth: "bearer", refreshTokens: ["id-token"], challenge });
    const auths = { "registry.example": { identitytoken: "id-token" } };
    const env = { DOCKER_AUTH_CONFIG: JSON.stringify({ auths }) };
    const fetch: typeof globalThis.fetch = async (input, init) => {
      const request = new Request(input, init);
      if (request.method === "POST") bodies.push(await request.clone().text());
      return fake.handler(request);
    };
    expect(await openFakeImg({ fetch }, { env }).registry.resolve()).toMatchObject({
      kind: "ready",
    });
    expect(new URLSearchParams(bodies[0]).get("scope")).toBe("repository:o/app:pull");
  });

  test("a token is reused until it expires, and replaced when it is revoked", async () => {
    const clockOf = { now: 0 };
    const fake = fakeWith({ auth: "bearer", ...USERS, expiresIn: 300, now: () => clockOf.now });
    const { registry, clock } = openFakeImg(fake, { env: ENV });
    const poll = async (): Promise<number> => {
      clockOf.now = clock.now();
      await registry.resolve();
      return tokenCalls(fake).length;
    };
    expect(await poll()).toBe(1);
    // It is renewed five seconds early, since it must not expire on the way.
    clock.advance(294_999);
    expect(await poll()).toBe(1);
    clock.advance(1);
    expect(await poll()).toBe(2);
    fake.revoke();
    expect(await poll()).toBe(3);
    // Renewed in time, no request is refused; the first one and the revoked one were.
    expect(fake.requests.filter(({ authorization }) => authorization === "")).toHaveLength(
      1 + fake.requests.filter(({ call }) => call.includes("blobs.example")).length,
    );
  });

  test("after a refusal the next source is tried, and finally anonymous access", async () => {
    const fake = fakeWith({ auth: "bearer", anonymous: true, host: "ghcr.io" });
    const url = "img://ghcr.io/o/app";
    const env = { ...WRONG, GITHUB_TOKEN: "wrong-token", DOCKER_AUTH_CONFIG: '{"auths":{}}' };
    const { registry, events } = openFakeImg(fake, { env }, url);
    expect(await registry.resolve()).toMatchObject({ kind: "ready" });
    expect(used(events)).toEqual(["DOCKER_USERNAME refused", "GITHUB_TOKEN refused"]);
    expect(events.filter(({ type }) => type === "anonymous")).toHaveLength(1);
    await registry.resolve();
    expect(used(events)).toHaveLength(2);
  });

  test("if all sources are refused, each is named with its reason and without its secret", async () => {
    const fake = fakeWith({ auth: "basic", host: "ghcr.io" });
    const env = { ...WRONG, GITHUB_TOKEN: "wrong-token" };
    const { registry } = openFakeImg(fake, { env }, "img://ghcr.io/o/app");
    const answer = registry.resolve();
    await expect(answer).rejects.toMatchObject({ code: "credential" });
    await expect(answer).rejects.toThrow(
      /DOCKER_USERNAME \(HTTP 401 UNAUTHORIZED.*GITHUB_TOKEN \(HTTP 401.*docker login ghcr\.io/,
    );
    await expect(answer).rejects.not.toThrow(/wrong-/);
    // A new login is seen without a restart.
    fake.options = { ...fake.options, users: { token: "wrong-token" } };
    expect(await registry.resolve()).toMatchObject({ kind: "ready" });
  });

  test("an unavailable token service does not count as a refusal", async () => {
    const fake = fakeWith({ auth: "bearer", ...USERS });
    fake.options.instead = ({ url }) =>
      url.includes("/token") ? new Response("down", { status: 503 }) : undefined;
    const { registry, events } = openFakeImg(fake, { env: ENV });
    await expect(registry.resolve()).rejects.toMatchObject({ code: "remote", retryable: true });
    expect(used(events)).toEqual([]);
  });

  test("GITHUB_TOKEN is sent only to ghcr.io itself", async () => {
    const env = { GITHUB_TOKEN: "right-password" };
    for (const host of ["ghcr.io.example.com", "notghcr.io", "registry.example"]) {
      const fake = fakeWith({ auth: "basic", host, users: { token: "right-password" } });
      const { registry } = openFakeImg(fake, { env }, `img://${host}/o/app`);
      await expect(registry.resolve()).rejects.toMatchObject({ code: "credential" });
      expect(fake.requests.every(({ authorization }) => authorization === "")).toBe(true);
    }
  });
});

describe("a token service", () => {
  const bearer = (realm: string): FakeOci =>
    fakeWith({ auth: "bearer", ...USERS, anonymous: true, realm });

  test.each([
    "http://10.0.0.1/token",
    "https://localhost/token",
    "https://[::ffff:a9fe:a9fe]/token",
  ])("at %s is not asked, unless it is allowed by name", async (realm) => {
    const fake = bearer(realm);
    const refused = openFakeImg(fake, { env: ENV }).registry.resolve();
    await expect(refused).rejects.toThrow(/private address space.*realm=/);
    expect(tokenCalls(fake)).toEqual([]);
    const { registry } = openFakeImg(fake, { env: ENV, realm: new URL(realm).hostname });
    expect(await registry.resolve()).toMatchObject({ kind: "ready" });
  });

  test("whose name resolves to private address space is refused", async () => {
    const fake = bearer("https://auth.example/token");
    const resolveHost = async (): Promise<string[]> => ["8.8.8.8", "192.168.0.7"];
    const { registry } = openFakeImg(fake, { env: ENV, resolveHost });
    await expect(registry.resolve()).rejects.toThrow(/private address space/);
    expect(tokenCalls(fake)).toEqual([]);
  });

  test("without TLS receives no password", async () => {
    const fake = bearer("http://auth.example/token");
    const { registry, events } = openFakeImg(fake, { env: ENV });
    expect(await registry.resolve()).toMatchObject({ kind: "ready" });
    expect(tokenCalls(fake).map(({ authorization }) => authorization)).toEqual([""]);
    expect(used(events)).toEqual(["DOCKER_USERNAME refused"]);
  });

  test("is not followed to another host", async () => {
    const fake = bearer("https://auth.example/token");
    fake.options.instead = ({ url }) =>
      url.includes("/token") ? Response.redirect("https://169.254.169.254/", 302) : undefined;
    await expect(openFakeImg(fake, { env: ENV }).registry.resolve()).rejects.toThrow(/redirect/);
    expect(fake.requests.some(({ call }) => call.includes("169.254"))).toBe(false);
  });

  test.each([
    [{ expires_in: 60 }, /token should be/],
    [{ token: "a b" }, /token should be/],
    [{ token: "t", expires_in: "soon" }, /expires_in should be number/],
  ])("that answers %j names the field", async (body, message) => {
    const fake = bearer("https://auth.example/token");
    fake.options.instead = ({ url }) => (url.includes("/token") ? Response.json(body) : undefined);
    await expect(openFakeImg(fake, { env: ENV }).registry.resolve()).rejects.toThrow(message);
  });

  test("without GET receives an OAuth2 POST", async () => {
    const fake = bearer("https://auth.example/token");
    fake.options.instead = ({ method, url }) =>
      method === "GET" && url.includes("/token") ? new Response("", { status: 405 }) : undefined;
    expect(await openFakeImg(fake, { env: ENV }).registry.resolve()).toMatchObject({
      kind: "ready",
    });
    expect(tokenCalls(fake).map(({ call }) => call.split(" ")[0])).toEqual(["GET", "POST"]);
  });
});

describe("docker login", () => {
  const config = (content: object): Record<string, unknown> => ({
    "/home/u/.docker/config.json": content,
  });
  const open = (fake: FakeOci, found: Record<string, unknown>, url?: string, more = {}) =>
    openFakeImg(fake, { env: { HOME: "/home/u" }, readTextFile: files(found), ...more }, url);

  test.each([
    ["the host", "registry.example", "registry.example"],
    ["an address", "registry.example", "https://registry.example/v2/"],
    ["a path, as of Podman", "registry.example", "registry.example/o"],
    ["Docker Hub's old address", "registry-1.docker.io", "https://index.docker.io/v1/"],
    ["Docker Hub's name", "registry-1.docker.io", "docker.io"],
  ])("is found by %s", async (_, host, key) => {
    const fake = fakeWith({ auth: "basic", host, ...USERS });
    const { registry } = open(
      fake,
      config({ auths: { [key]: { auth: AUTH } } }),
      `img://${host}/o/app`,
    );
    expect(await registry.resolve()).toMatchObject({ kind: "ready" });
  });

  test.each([
    "registry.example.com",
    "registry",
    "registry.example/other",
    "registry.example:5000",
  ])("of %s is not for registry.example/o/app", async (key) => {
    const fake = fakeWith({ auth: "basic", ...USERS });
    const { registry } = open(fake, config({ auths: { [key]: { auth: AUTH } } }));
    await expect(registry.resolve()).rejects.toMatchObject({ code: "credential" });
    expect(fake.requests.every(({ authorization }) => authorization === "")).toBe(true);
  });

  test("the longest path wins", async () => {
    const fake = fakeWith({ auth: "basic", ...USERS });
    const auths = {
      "registry.example": { auth: btoa("a:b") },
      "registry.example/o/app": { auth: AUTH },
      "registry.example/o": { auth: btoa("c:d") },
    };
    const { registry, events } = open(fake, config({ auths }));
    await registry.resolve();
    expect(used(events)).toEqual(["/home/u/.docker/config.json used"]);
  });

  test("an identity token is exchanged by POST", async () => {
    const fake = fakeWith({ auth: "bearer", refreshTokens: ["id-token"] });
    const auths = { "registry.example": { auth: btoa("00000000:"), identitytoken: "id-token" } };
    expect(await open(fake, config({ auths })).registry.resolve()).toMatchObject({ kind: "ready" });
    expect(tokenCalls(fake).map(({ call }) => call)).toEqual(["POST https://auth.example/token"]);
  });

  test("the registry's own credential helper comes before the general one and the file", async () => {
    const asked: string[] = [];
    const credentialHelper = async (helper: string, server: string) => {
      asked.push(`${helper} ${server}`);
      return { username: "u", secret: "right-password" };
    };
    const content = {
      credsStore: "desktop",
      credHelpers: { "docker.io": "ours", "registry.example": "theirs" },
      auths: { "registry.example": {} },
    };
    for (const host of ["registry-1.docker.io", "registry.example", "other.example"]) {
      const fake = fakeWith({ auth: "basic", host, ...USERS });
      const { registry } = open(fake, config(content), `img://${host}/o/app`, { credentialHelper });
      expect(await registry.resolve()).toMatchObject({ kind: "ready" });
    }
    expect(asked).toEqual([
      "ours https://index.docker.io/v1/",
      "theirs registry.example",
      "desktop other.example",
    ]);
  });

  test("<token> from a helper marks an identity token; after a helper fails, the file is read", async () => {
    const fake = fakeWith({ auth: "bearer", refreshTokens: ["id-token"], ...USERS });
    const content = config({ credsStore: "x", auths: { "registry.example": { auth: AUTH } } });
    const token = async () => ({ username: "<token>", secret: "id-token" });
    const first = open(fake, content, undefined, { credentialHelper: token });
    expect(await first.registry.resolve()).toMatchObject({ kind: "ready" });
    const { CredentialError } = await import("../../../../src/core/error.ts");
    const broken = async () => {
      throw new CredentialError("no display");
    };
    const second = open(fake, content, undefined, { credentialHelper: broken });
    expect(await second.registry.resolve()).toMatchObject({ kind: "ready" });
    expect(used(second.events)).toEqual([
      "the credential helper of /home/u/.docker/config.json refused",
      "/home/u/.docker/config.json used",
    ]);
  });

  test.each([
    ["DOCKER_CONFIG", { DOCKER_CONFIG: "/d/" }, "/d/config.json"],
    ["REGISTRY_AUTH_FILE", { REGISTRY_AUTH_FILE: "/a.json" }, "/a.json"],
    ["XDG_RUNTIME_DIR", { XDG_RUNTIME_DIR: "/run/u" }, "/run/u/containers/auth.json"],
    ["Podman's own directory", { HOME: "/h" }, "/h/.config/containers/auth.json"],
  ])("is found by %s", async (_, env, path) => {
    const fake = fakeWith({ auth: "basic", ...USERS });
    const found = { [path]: { auths: { "registry.example": { auth: AUTH } } } };
    const { registry } = openFakeImg(fake, { env, readTextFile: files(found) });
    expect(await registry.resolve()).toMatchObject({ kind: "ready" });
  });

  test("works without files through DOCKER_AUTH_CONFIG", async () => {
    const fake = fakeWith({ auth: "basic", ...USERS });
    const env = {
      DOCKER_AUTH_CONFIG: JSON.stringify({ auths: { "registry.example": { auth: AUTH } } }),
    };
    expect(await openFakeImg(fake, { env }).registry.resolve()).toMatchObject({ kind: "ready" });
  });

  test.each([
    ['{"auths":{"registry.example":{"auth":7}}}', 'the entry "registry.example" of auths: auth'],
    ['{"auths":{"https://registry.example/v2/":{"auth":"%secret%"}}}', "auth is not base64"],
    ['{"auths":{"registry.example":"secret"}}', 'the entry "registry.example" of auths'],
    ['{"auths":"secret"}', "auths: it should be Object"],
    ['{"credHelpers":{"registry.example":7}}', 'the entry "registry.example" of credHelpers'],
    ['{"credsStore":7}', "credsStore: it should be string"],
    ["7", "it should be Object"],
    ["secret", "it is not JSON"],
  ])("that cannot be read is reported once, without what it holds: %s", async (text, message) => {
    const fake = fakeWith({ auth: "basic", ...USERS });
    const { registry } = openFakeImg(fake, {
      env: { HOME: "/home/u" },
      readTextFile: async (path) => {
        if (path === "/home/u/.docker/config.json") return text;
        throw Object.assign(new Error(`no ${path}`), { code: "ENOENT" });
      },
      credentialHelper: async () => undefined,
    });
    const told = await registry.resolve().then(String, String);
    expect(told).not.toContain("secret");
    expect(told.split("Cannot ").length).toBe(3);
    expect(told).toContain("/home/u/.docker/config.json (Cannot");
    expect(told).toContain(message);
  });

  test.each([
    "null",
    '{"auths":null}',
    '{"auths":{"registry.example":null}}',
    '{"auths":{"registry.example":{"auth":null}}}',
    `{"auths":{"registry.example/o":null,"registry.example":{"auth":"${AUTH}"}}}`,
    `{"auths":{"registry.example":{"auth":"${AUTH}","identitytoken":null,"registrytoken":null}}}`,
    `{"auths":{"registry.example":{"auth":"${AUTH}"},"quay.io":{"auth":null},"ghcr.io":null}}`,
    `{"auths":{"registry.example":{"auth":"${AUTH}"}},"credHelpers":null,"credsStore":null}`,
    `{"auths":{"registry.example":{"auth":"${AUTH}"}},"credHelpers":{"registry.example":null}}`,
  ])("reads null as if it were absent: %s", async (text) => {
    const fake = fakeWith({ auth: "basic", ...USERS });
    // Where the first file has no login, the second one has.
    const found = {
      "/home/u/.docker/config.json": JSON.parse(text),
      "/home/u/.config/containers/auth.json": { auths: { "registry.example": { auth: AUTH } } },
    };
    const credentialHelper = async (): Promise<undefined> => undefined;
    const { registry, events } = open(fake, found, undefined, { credentialHelper });
    expect(await registry.resolve()).toMatchObject({ kind: "ready" });
    expect(used(events).filter((line) => line.endsWith("refused"))).toEqual([]);
  });

  test.each([
    ["a login", { "quay.io": { auth: 7 }, "ghcr.io": "x" }, {}],
    ["a helper", {}, { "quay.io": 7 }],
  ])("%s of another registry that is broken changes nothing", async (_, auths, credHelpers) => {
    const fake = fakeWith({ auth: "basic", ...USERS });
    const content = { auths: { ...auths, "registry.example": { auth: AUTH } }, credHelpers };
    const credentialHelper = async (): Promise<undefined> => undefined;
    const { registry, events } = open(fake, config(content), undefined, { credentialHelper });
    expect(await registry.resolve()).toMatchObject({ kind: "ready" });
    expect(used(events)).toEqual(["/home/u/.docker/config.json used"]);
  });
});

describe("clouds", () => {
  test.each([
    ["1.dkr.ecr.eu-west-1.amazonaws.com", "eu-west-1", "api.ecr.eu-west-1.amazonaws.com"],
    [
      "1234567890123.dkr.ecr.cn-north-1.amazonaws.com.cn",
      "cn-north-1",
      "api.ecr.cn-north-1.amazonaws.com.cn",
    ],
    ["1.dkr.ecr-fips.us-east-1.amazonaws.com", "us-east-1", "ecr-fips.us-east-1.amazonaws.com"],
    ["1.dkr-ecr.us-east-1.on.aws", "us-east-1", "ecr.us-east-1.api.aws"],
  ])("%s is ECR", (host, region, api) => {
    expect(readEcrHost(host)).toEqual({ region, api });
  });

  test.each([
    "public.ecr.aws",
    "1.dkr.ecr.eu-west-1.amazonaws.com.evil.example",
    "evil.example.dkr.ecr.eu-west-1.amazonaws.com",
    "x1.dkr.ecr.eu-west-1.amazonaws.com",
  ])("%s is not", (host) => {
    expect(readEcrHost(host)).toBeUndefined();
  });

  test.each([
    ["gcr.io", true],
    ["eu.gcr.io", true],
    ["us-docker.pkg.dev", true],
    ["gcr.io.evil.example", false],
    ["notgcr.io", false],
    ["pkg.dev.evil.example", false],
  ])("%s is Google's: %s", (host, is) => {
    expect(isGoogleRegistry(host)).toBe(is);
  });

  test("ECR gets a password for AWS credentials, signed, and a new one when it ends", async () => {
    const host = "1.dkr.ecr.eu-west-1.amazonaws.com";
    const fake = fakeWith({ auth: "basic", host, users: { AWS: "ecr-password" } });
    const asked: Request[] = [];
    const world = openFakeImg(
      {
        fetch: async (input, init) => {
          const request = new Request(input, init);
          if (new URL(request.url).host !== "api.ecr.eu-west-1.amazonaws.com") {
            return fake.handler(request);
          }
          asked.push(request);
          const authorizationToken = btoa("AWS:ecr-password");
          const expiresAt = world.clock.now() / 1000 + 12 * 3600;
          return Response.json({ authorizationData: [{ authorizationToken, expiresAt }] });
        },
      },
      { env: { AWS_ACCESS_KEY_ID: "AKID", AWS_SECRET_ACCESS_KEY: "secret-key" } },
      `img://${host}/o/app`,
    );
    expect(await world.registry.resolve()).toMatchObject({ kind: "ready" });
    await world.registry.resolve();
    expect(asked).toHaveLength(1);
    expect(asked[0]?.headers.get("authorization")).toMatch(
      /^AWS4-HMAC-SHA256 Credential=AKID\/20260601\/eu-west-1\/ecr\/aws4_request, SignedHeaders=.*x-amz-target/,
    );
    world.clock.advance(12 * 3_600_000);
    await world.registry.resolve();
    expect(asked).toHaveLength(2);
  });

  test.each([
    ["the environment's", { AWS_SESSION_TOKEN: "canary-1\ncanary-2" }, undefined],
    ["the machine's", undefined, "canary-1\ncanary-2"],
  ])(
    "ECR is not asked with %s credentials that cannot be sent, and they are not shown",
    async (...given) => {
      const [, variable, sessionToken] = given;
      const host = "1.dkr.ecr.eu-west-1.amazonaws.com";
      const fake = fakeWith({ auth: "basic", host });
      const keys = { accessKeyId: "AKID", secretAccessKey: "secret-key" };
      const { registry } = openFakeImg(
        fake,
        variable === undefined
          ? { env: {}, awsCredentials: async () => ({ ...keys, sessionToken: sessionToken ?? "" }) }
          : {
              env: { AWS_ACCESS_KEY_ID: "AKID", AWS_SECRET_ACCESS_KEY: "secret-key", ...variable },
            },
        `img://${host}/o/app`,
      );
      const answer = registry.resolve();
      await expect(answer).rejects.toThrow(
        /AWS credentials \(Cannot use .*(TOKEN|token): it has spaces/,
      );
      await expect(answer).rejects.not.toThrow("canary");
      expect(fake.requests.some(({ call }) => call.includes("api.ecr"))).toBe(false);
    },
  );

  test("an unusable variable does not affect other sources", async () => {
    const fake = fakeWith({ auth: "basic", ...USERS });
    const broken = { GITHUB_TOKEN: "a\nb", AWS_ECR_PASSWORD: "a\nb", DOCKER_PASSWORD: "a\nb" };
    const auths = { "registry.example": { auth: AUTH } };
    const env = { DOCKER_USERNAME: "u", ...broken, DOCKER_AUTH_CONFIG: JSON.stringify({ auths }) };
    const { registry, events } = openFakeImg(fake, { env });
    expect(await registry.resolve()).toMatchObject({ kind: "ready" });
    expect(used(events)).toEqual(["DOCKER_USERNAME unusable", "DOCKER_AUTH_CONFIG used"]);
  });

  test("Google's credentials become an access token as a password", async () => {
    const host = "europe-docker.pkg.dev";
    const fake = fakeWith({ auth: "basic", host, users: { oauth2accesstoken: "ya29.token" } });
    const fetch: typeof globalThis.fetch = async (input, init) => {
      const request = new Request(input, init);
      return request.url.includes("oauth2.googleapis.com")
        ? Response.json({ access_token: "ya29.token", expires_in: 3600 })
        : fake.handler(request);
    };
    const env = { GOOGLE_APPLICATION_CREDENTIALS: JSON.stringify(serviceAccountKey()) };
    const { registry, events } = openFakeImg({ fetch }, { env }, `img://${host}/o/app`);
    expect(await registry.resolve()).toMatchObject({ kind: "ready" });
    expect(used(events)).toEqual(["Google credentials used"]);
  });

  test("Azure's credentials are exchanged for a refresh token, and that for a token", async () => {
    const host = "acr.azurecr.io";
    const realm = `https://${host}/oauth2/token`;
    const fake = fakeWith({ auth: "bearer", host, realm, refreshTokens: ["acr-refresh"] });
    const bodies: string[] = [];
    const fetch: typeof globalThis.fetch = async (input, init) => {
      const request = new Request(input, init);
      const { host: at, pathname } = new URL(request.url);
      if (at === "login.microsoftonline.com" || pathname === "/oauth2/exchange") {
        bodies.push(`${at}${pathname} ${await request.text()}`);
        return Response.json(
          pathname === "/oauth2/exchange"
            ? { refresh_token: "acr-refresh" }
            : { access_token: "entra-token", expires_in: 3600 },
        );
      }
      return fake.handler(request);
    };
    const env = {
      AZURE_TENANT_ID: "t",
      AZURE_CLIENT_ID: "c",
      AZURE_CLIENT_SECRET: "client-secret",
    };
    const { registry, events } = openFakeImg({ fetch }, { env }, `img://${host}/o/app`);
    expect(await registry.resolve()).toMatchObject({ kind: "ready" });
    expect(used(events)).toEqual(["Azure credentials used"]);
    expect(bodies).toEqual([
      "login.microsoftonline.com/t/oauth2/v2.0/token grant_type=client_credentials&client_id=c&scope=https%3A%2F%2Fcontainerregistry.azure.net%2F.default&client_secret=client-secret",
      "acr.azurecr.io/oauth2/exchange grant_type=access_token&service=acr.azurecr.io&tenant=t&access_token=entra-token",
    ]);
  });
});
