import { beforeEach, describe, expect, test } from "vitest";
import { CredentialError } from "../../../../src/core/error.ts";
import type { DewyEvent } from "../../../../src/core/event.ts";
import type { HttpClient, HttpFailure, HttpRequest } from "../../../../src/http/client.ts";
import { OciAuth } from "../../../../src/registries/oci/auth/auth.ts";
import { isTrustedRealm } from "../../../../src/registries/oci/auth/challenge.ts";
import type { CredentialSource } from "../../../../src/registries/oci/auth/credential.ts";
import { type FakeClock, fakeClock } from "../../../fakes/clock.ts";

const BASIC = 'Basic realm="x"';
const bearer = (scope: string): string =>
  `Bearer realm="https://auth.example/token",service="s",scope="${scope}"`;

let clock: FakeClock;
let events: DewyEvent[];
let requests: HttpRequest[];
/** The token service's answer: a body, or a status to refuse with. */
let answer: object | number;

beforeEach(() => {
  clock = fakeClock();
  events = [];
  requests = [];
  answer = { token: "t", expires_in: 300 };
});

function failure(status: number, challenge = ""): HttpFailure {
  const headers = new Headers(challenge === "" ? {} : { "www-authenticate": challenge });
  const url = "https://registry.example/";
  return { method: "GET", url, status, headers, body: "", message: "", retryAfterMs: undefined };
}

function source(name: string, password = "p"): CredentialSource {
  return { name, find: async () => ({ kind: "basic", username: name, password }) };
}

/** Signs in with the sources; the registry has already sent the challenge. */
function openAuth(challenge: string, ...sources: CredentialSource[]): OciAuth {
  const json = async (request: HttpRequest): Promise<unknown> => {
    requests.push(request);
    if (typeof answer === "number") throw request.toError?.(failure(answer));
    return answer;
  };
  const unused = async (): Promise<never> => {
    throw new Error("not expected");
  };
  const http: HttpClient = { json, send: unused, text: unused };
  const auth = new OciAuth({
    target: { registry: "registry.example", repository: "o/app" },
    rules: { registry: new URL("https://registry.example/"), allowedHost: "" },
    sources,
    http,
    clock,
    emit: (event) => void events.push(event),
  });
  auth.onRefusal({ headers: {}, isFresh: false }, failure(401, challenge));
  return auth;
}

async function userOf(auth: OciAuth): Promise<string> {
  const { headers } = await auth.authorize(undefined);
  return atob((headers.authorization ?? "").replace("Basic ", "")).replace(/:.*/, "");
}

function outcomes(): string[] {
  return events.flatMap((event) =>
    event.type === "credentials" ? [`${event.source} ${event.outcome}`] : [],
  );
}

describe("a refusal", () => {
  test("without credentials is final unless it is a 401 with a challenge", () => {
    const auth = openAuth(BASIC, source("a"));
    const none = { headers: {}, isFresh: false };
    expect(auth.onRefusal(none, failure(403, BASIC))).toBeUndefined();
    expect(auth.onRefusal(none, failure(401))).toBeUndefined();
    expect(auth.onRefusal(none, failure(401, BASIC))).toBe("retry");
  });

  test("of concurrent requests rejects their source once", async () => {
    const auth = openAuth(BASIC, source("a"), source("b"));
    const authorizations = await Promise.all([
      auth.authorize(undefined),
      auth.authorize(undefined),
    ]);
    for (const one of authorizations) expect(auth.onRefusal(one, failure(401))).toBe("retry");
    expect(await userOf(auth)).toBe("b");
    expect(outcomes().filter((line) => line.endsWith("refused"))).toEqual(["a refused"]);
  });

  test("with 403 rejects the source even after it was accepted", async () => {
    const auth = openAuth(BASIC, source("a"), source("b"));
    await auth.authorize(undefined);
    const accepted = await auth.authorize(undefined);
    expect(accepted.isFresh).toBe(false);
    auth.onRefusal(accepted, failure(403));
    expect(await userOf(auth)).toBe("b");
  });

  test("with 401 after acceptance only renews the authorization", async () => {
    const auth = openAuth(BASIC, source("a"), source("b"));
    await auth.authorize(undefined);
    auth.onRefusal(await auth.authorize(undefined), failure(401));
    expect(await userOf(auth)).toBe("a");
  });

  test("may change the challenge", async () => {
    const auth = openAuth(bearer("one"), source("a"));
    await auth.authorize(undefined);
    auth.onRefusal(await auth.authorize(undefined), failure(401, bearer("two")));
    await auth.authorize(undefined);
    const scopes = requests.map(({ url }) => new URL(url).searchParams.get("scope"));
    expect(scopes).toEqual(["one", "two"]);
  });

  test("of all sources starts over, and the next error names each source once", async () => {
    const auth = openAuth(BASIC, source("a"));
    const exhaust = async (): Promise<string> => {
      auth.onRefusal({ headers: {}, isFresh: false }, failure(401, BASIC));
      auth.onRefusal(await auth.authorize(undefined), failure(401));
      return auth.authorize(undefined).then(String, String);
    };
    const first = await exhaust();
    expect(first).toContain("tried a (HTTP 401); anonymous (not possible");
    expect(await exhaust()).toBe(first);
    // The source is announced again, since it was rejected in between.
    expect(outcomes()).toEqual(Array(2).fill(["a used", "a refused", "anonymous refused"]).flat());
  });
});

describe("a token", () => {
  test("is announced once, although it is renewed", async () => {
    const auth = openAuth(bearer("x"), source("a"));
    await auth.authorize(undefined);
    clock.advance(300_000);
    await auth.authorize(undefined);
    expect(requests).toHaveLength(2);
    expect(outcomes()).toEqual(["a used"]);
  });

  test.each([
    ["no expires_in", undefined, 60],
    ["expires_in 0", 0, 60],
    ["expires_in 90", 90, 90],
    ["an absurd expires_in", 1e12, 7 * 24 * 3600],
  ])("with %s is valid for %i s", async (_, expiresIn, seconds) => {
    answer = { token: "t", expires_in: expiresIn };
    const auth = openAuth(bearer("x"), source("a"));
    await auth.authorize(undefined);
    clock.advance((seconds as number) * 1000 - 5_001);
    await auth.authorize(undefined);
    expect(requests).toHaveLength(1);
    clock.advance(1);
    await auth.authorize(undefined);
    expect(requests).toHaveLength(2);
  });

  test.each([400, 401, 403])(
    "refused with HTTP %i is an error of the credentials",
    async (status) => {
      answer = status;
      const auth = openAuth(bearer("x"), source("a"), source("b"));
      await expect(auth.authorize(undefined)).rejects.toBeInstanceOf(CredentialError);
      expect(outcomes()).toEqual(["a refused", "b refused", "anonymous refused"]);
    },
  );
});

test.each([
  ["https://registry.example/", "https://auth.example/token", true],
  ["https://registry.example/", "http://registry.example/token", false],
  ["https://registry.example/", "http://allowed.example/token", false],
  ["http://registry.example/", "http://registry.example/token", true],
  ["http://registry.example/", "http://allowed.example/token", true],
  ["http://registry.example/", "http://auth.example/token", false],
])("the registry %s may have credentials sent to %s: %s", (registry, realm, isTrusted) => {
  const rules = { registry: new URL(registry), allowedHost: "allowed.example" };
  expect(isTrustedRealm(new URL(realm), rules)).toBe(isTrusted);
});
