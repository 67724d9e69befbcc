import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { importSPKI } from "jose";
import * as v from "valibot";
import { beforeAll, describe, expect, test } from "vitest";
import { driverEnvironment } from "../../../src/core/environment.ts";
import { ConfigError, CredentialError } from "../../../src/core/error.ts";
import { GitHubClient } from "../../../src/registries/github/client.ts";
import { ghr } from "../../../src/registries/github/driver.ts";
import { repositorySchema } from "../../../src/registries/github/schema.ts";
import { fakeClock } from "../../fakes/clock.ts";
import { FakeGitHub } from "../../fakes/github.ts";
import { REFUSED, testVectors } from "../../support/vectors.ts";

const APP = { GITHUB_APP_ID: "17", GITHUB_APP_INSTALLATION_ID: "42" };
const PATH = "/repos/acme/app";
let privateKey: KeyObject;
let publicPem: string;
beforeAll(() => {
  const pair = generateKeyPairSync("rsa", { modulusLength: 2048 });
  privateKey = pair.privateKey;
  publicPem = pair.publicKey.export({ type: "spki", format: "pem" }).toString();
});
const pem = (type: "pkcs1" | "pkcs8"): string =>
  privateKey.export({ type, format: "pem" }).toString();

type Files = Record<string, string>;

async function world(
  env: Record<string, string>,
  files?: Files,
): Promise<{ github: FakeGitHub; client: GitHubClient; clock: ReturnType<typeof fakeClock> }> {
  const clock = fakeClock({ skipUpTo: 29_999 });
  const app = { id: "17", installationId: "42", publicKey: await importSPKI(publicPem, "RS256") };
  const tokens = { first: false, second: false };
  const github = new FakeGitHub({ clock, app, tokens });
  const client = new GitHubClient({
    env: driverEnvironment({ GITHUB_API_URL: github.urls.api, ...env }, ghr.environment),
    fetch: github.fetch,
    clock,
    emit: () => {},
    ...(files === undefined ? {} : { readTextFile: async (path: string) => files[path] ?? "" }),
  });
  return { github, client, clock };
}

/** @returns the identity that the fake counted a request for. */
async function identity(env: Record<string, string>, files?: Files): Promise<string | undefined> {
  const { github, client } = await world(env, files);
  await client.get(PATH, repositorySchema);
  for (const name of ["anonymous", "first", "second"]) {
    if (github.remaining(name) === (name === "anonymous" ? 59 : 4999)) return name;
  }
  return github.calls[0]?.call.includes("access_tokens") ? "app" : undefined;
}

testVectors(
  "registry-url",
  async ({ in: { env }, out }) => {
    const asked: string[] = [];
    const secrets = { ...(env as Record<string, string>) };
    if (secrets.GITHUB_APP_PRIVATE_KEY !== undefined) secrets.GITHUB_APP_PRIVATE_KEY = pem("pkcs1");
    try {
      const client = new GitHubClient({
        env: secrets,
        fetch: async (input) => {
          asked.push(new Request(input).url);
          return Response.json({ full_name: "acme/app" });
        },
        clock: fakeClock(),
        emit: () => {},
      });
      if (!("baseURL" in ((out ?? {}) as object))) return { ok: true };
      await client.get(PATH, v.unknown());
      return { baseURL: asked[0]?.replace(PATH, "/") };
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      return REFUSED;
    }
  },
  ["githubAuth"],
);

describe("credentials", () => {
  test("none are needed", async () => {
    expect(await identity({})).toBe("anonymous");
    expect(await identity({ GH_TOKEN: "", GITHUB_TOKEN: " \r\n" })).toBe("anonymous");
  });

  test("GH_TOKEN wins over GITHUB_TOKEN, an App over both", async () => {
    expect(await identity({ GITHUB_TOKEN: "second" })).toBe("second");
    expect(await identity({ GH_TOKEN: "first\r\n", GITHUB_TOKEN: "second" })).toBe("first");
    const GITHUB_APP_PRIVATE_KEY = pem("pkcs8");
    expect(await identity({ ...APP, GITHUB_APP_PRIVATE_KEY, GH_TOKEN: "first" })).toBe("app");
  });

  test.each(["pkcs1", "pkcs8"] as const)(
    "an App's key may be %s, on lines, on one, or in a file",
    async (type) => {
      const key = pem(type);
      expect(await identity({ ...APP, GITHUB_APP_PRIVATE_KEY: key })).toBe("app");
      const oneLine = key.replaceAll("\n", "\\n");
      expect(await identity({ ...APP, GITHUB_APP_PRIVATE_KEY: oneLine })).toBe("app");
      const inFile = { ...APP, GITHUB_APP_PRIVATE_KEY_PATH: "/key.pem" };
      expect(await identity(inFile, { "/key.pem": key.replaceAll("\n", "\r\n") })).toBe("app");
    },
  );

  test.each([
    ["GH_TOKEN", { GH_TOKEN: "s3cret token" }],
    ["GITHUB_TOKEN", { GITHUB_TOKEN: "s3cret\u00e9" }],
    ["GITHUB_APP_ID", { GITHUB_APP_PRIVATE_KEY: "s3cret" }],
    ["GITHUB_APP_ID", { ...APP, GITHUB_APP_ID: "s3cret" }],
    ["GITHUB_APP_INSTALLATION_ID", { GITHUB_APP_ID: "17" }],
    ["GITHUB_APP_PRIVATE_KEY", APP],
    ["GITHUB_API_URL", { GITHUB_API_URL: "ftp://s3cret@x" }],
    ["GITHUB_ENDPOINT", { GITHUB_API_URL: "", GITHUB_ENDPOINT: "nonsense" }],
  ])("a bad %s is a ConfigError before anything is asked, and is not shown", async (name, env) => {
    const error = await world(env).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(ConfigError);
    expect(String(error)).toContain(name);
    expect(String(error)).not.toContain("s3cret");
  });

  test.each([
    ["no PEM", "s3cret"],
    ["damaged", "-----BEGIN RSA PRIVATE KEY-----\nczNjcmV0\n-----END RSA PRIVATE KEY-----"],
    [
      "no RSA key",
      generateKeyPairSync("ec", { namedCurve: "P-256" })
        .privateKey.export({ type: "pkcs8", format: "pem" })
        .toString(),
    ],
  ])("a key that is %s is a ConfigError that does not show it", async (_, key) => {
    const error = await identity({ ...APP, GITHUB_APP_PRIVATE_KEY: key }).catch((reason) => reason);
    expect(error).toBeInstanceOf(ConfigError);
    expect(String(error)).toContain("GITHUB_APP_PRIVATE_KEY");
    expect(String(error)).not.toMatch(/s3cret|czNjcmV0/);
  });

  test("a key file needs a file system", async () => {
    const env = { ...APP, GITHUB_APP_PRIVATE_KEY_PATH: "/key.pem" };
    await expect(identity(env)).rejects.toThrow("no file system");
  });
});

describe("an App's token", () => {
  const asked = (github: FakeGitHub): number =>
    github.calls.filter(({ call }) => call.includes("access_tokens")).length;

  test("is kept, and renewed five minutes before it ends", async () => {
    const { github, client, clock } = await world({ ...APP, GITHUB_APP_PRIVATE_KEY: pem("pkcs1") });
    for (const [minutes, times] of [
      [0, 1],
      [54, 1],
      [1, 2],
      [10, 2],
    ] as const) {
      clock.advance(minutes * 60_000);
      await client.get(PATH, repositorySchema);
      expect(asked(github)).toBe(times);
    }
    github.verify();
  });

  test("is replaced once when GitHub refuses it", async () => {
    const { github, client } = await world({ ...APP, GITHUB_APP_PRIVATE_KEY: pem("pkcs1") });
    await client.get(PATH, repositorySchema);
    for (let id = 1; id < 9; id += 1) github.revoke(`ghs_${id}`);
    await client.get(PATH, repositorySchema);
    expect(asked(github)).toBe(2);
  });
});

test("the error of a refused App says what to check", async () => {
  const GITHUB_APP_PRIVATE_KEY = pem("pkcs1");
  for (const wrong of [{ GITHUB_APP_ID: "18" }, { GITHUB_APP_INSTALLATION_ID: "43" }]) {
    const { client } = await world({ ...APP, GITHUB_APP_PRIVATE_KEY, ...wrong });
    const error = await client.get(PATH, repositorySchema).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(CredentialError);
    expect(String(error)).toContain("GITHUB_APP_INSTALLATION_ID");
  }
});

test("a refused token is named by its variable, not shown", async () => {
  const { client } = await world({ GH_TOKEN: "s3cret-and-wrong" });
  const error = await client.get(PATH, repositorySchema).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(CredentialError);
  expect(String(error)).toContain("GH_TOKEN");
  expect(String(error)).not.toContain("s3cret");
});
