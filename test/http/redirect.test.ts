import { describe, expect, test } from "vitest";
import { RemoteError } from "../../src/core/error.ts";
import {
  assertSafeToFollow,
  guardRedirects,
  headersToFollow,
  nextStep,
  type RedirectStep,
} from "../../src/http/redirect.ts";

function step(parts: Partial<RedirectStep> = {}): RedirectStep {
  const url = new URL("https://api.test/a");
  return { method: "GET", url, headers: {}, body: undefined, trusted: true, ...parts };
}

describe("nextStep", () => {
  const redirect = (status: number, location: string): Response =>
    new Response(null, { status, headers: { location } });

  // https://www.rfc-editor.org/rfc/rfc9110#section-15.4
  test.each([
    ["POST", 301, "GET", undefined],
    ["POST", 302, "GET", undefined],
    ["POST", 303, "GET", undefined],
    ["PUT", 303, "GET", undefined],
    ["PUT", 301, "PUT", "b"],
    ["PUT", 302, "PUT", "b"],
    ["POST", 307, "POST", "b"],
    ["POST", 308, "POST", "b"],
  ])("%s after %i becomes %s with body %j", (method, status, next, body) => {
    const request = step({ method, body: "b", headers: { "content-type": "a/b" } });
    expect(nextStep(request, redirect(status, "/b"))).toEqual({
      method: next,
      url: new URL("https://api.test/b"),
      headers: body === undefined ? {} : { "content-type": "a/b" },
      body,
      trusted: true,
    });
  });

  test("HEAD stays HEAD after every status", () => {
    for (const status of [301, 302, 303, 307, 308]) {
      expect(nextStep(step({ method: "HEAD" }), redirect(status, "/b")).method).toBe("HEAD");
    }
  });

  test("keeps only public headers at another origin, and trusts it no more", () => {
    const kept = {
      accept: "a",
      "accept-encoding": "b",
      "accept-language": "c",
      "cache-control": "d",
      "if-range": "e",
      range: "f",
      "user-agent": "g",
    };
    const headers = { ...kept, authorization: "s3cret", "x-amz-date": "now", cookie: "s3cret" };
    const other = nextStep(step({ headers }), redirect(302, "https://else.test/"));
    expect(other).toMatchObject({ headers: kept, trusted: false });
    expect(nextStep(other, redirect(302, "/next")).trusted).toBe(false);
    expect(nextStep(other, redirect(302, "https://api.test/")).trusted).toBe(false);
  });
});

describe("assertSafeToFollow", () => {
  test.each(["authorization", "accept", "if-none-match", "x-github-api-version"])(
    "allows the header %s",
    (name) => {
      expect(() => assertSafeToFollow(step({ headers: { [name]: "x" } }))).not.toThrow();
    },
  );

  test.each(["x-amz-date", "cookie", "private-token"])("refuses the header %s", (name) => {
    expect(() => assertSafeToFollow(step({ headers: { [name]: "x" } }))).toThrow(name);
  });
});

describe("headersToFollow", () => {
  const simple = { accept: "a", authorization: "Bearer s3cret" };

  test("leaves out what would start a preflight at another origin", () => {
    const others = { "user-agent": "dewy", "x-github-api-version": "1", "if-none-match": '"e"' };
    const headers = { ...simple, ...others, "accept-language": "e".repeat(129), range: "bytes=4-" };
    expect(headersToFollow(headers)).toEqual({ ...simple, range: "bytes=4-" });
  });

  test("asks for the whole file if the condition of a range cannot be sent", () => {
    const headers = { ...simple, range: "bytes=4-", "if-range": '"e"' };
    expect(headersToFollow(headers)).toEqual(simple);
  });
});

const PUBLIC = new URL("https://api.github.com/");
const NAMES: Readonly<Record<string, string[]>> = {
  "api.github.com": ["140.82.121.6"],
  "objects.githubusercontent.com": ["185.199.108.133"],
  "github.corp.example": ["10.1.2.3"],
  "storage.corp.example": ["10.9.9.9"],
  "metadata.evil.example": ["169.254.169.254"],
  "inner.evil.example": ["8.8.8.8", "127.0.0.1"],
};

async function follow(registry: URL, location: string, looksUp = true): Promise<void> {
  const resolveHost = async (host: string): Promise<string[]> => {
    const found = NAMES[host];
    if (found === undefined) throw new Error("ENOTFOUND");
    return found;
  };
  await guardRedirects(registry, looksUp ? resolveHost : undefined)(new URL(location));
}

describe("guardRedirects", () => {
  test.each([
    ["https://objects.githubusercontent.com/a"],
    ["https://only-the-proxy-knows.example/a"],
    ["https://api.github.com/b"],
  ])("lets a public registry redirect to %s", async (location) => {
    await expect(follow(PUBLIC, location)).resolves.toBeUndefined();
  });

  test.each([
    ["https://127.0.0.1:8443/"],
    ["https://[::1]/"],
    ["https://localhost/"],
    ["https://10.0.0.1/"],
    ["https://[fd12::1]/"],
    ["https://[::ffff:192.168.0.1]/"],
    ["https://storage.corp.example/"],
    ["https://inner.evil.example/"],
  ])("keeps a public registry from redirecting to %s", async (location) => {
    const failure = follow(PUBLIC, location);
    await expect(failure).rejects.toThrow("inside the private network, and the registry is not");
    await expect(failure).rejects.toBeInstanceOf(RemoteError);
  });

  test.each([["https://storage.corp.example/"], ["http://192.168.1.1/"], ["http://127.0.0.1:9/"]])(
    "lets a private registry redirect to %s",
    async (location) => {
      await follow(new URL("https://github.corp.example/api/v3"), location);
      await follow(new URL("http://127.0.0.1:3000/"), location);
    },
  );

  test.each([
    ["http://169.254.169.254/latest/meta-data/"],
    ["http://[fe80::1]/"],
    ["http://[::ffff:169.254.169.254]/"],
    ["http://[64:ff9b::169.254.169.254]/"],
    ["http://[fd00:ec2::254]/"],
    ["http://100.100.100.200/"],
    ["http://metadata.google.internal/"],
    ["http://metadata.evil.example/"],
  ])("lets no registry redirect to %s", async (location) => {
    for (const registry of [PUBLIC, new URL("http://10.0.0.1/"), new URL("http://localhost/")]) {
      await expect(follow(registry, location)).rejects.toThrow("it is a link-local address");
    }
  });

  test("checks literal addresses only where names cannot be looked up", async () => {
    await expect(follow(PUBLIC, "https://10.0.0.1/", false)).rejects.toThrow("private network");
    await expect(follow(PUBLIC, "https://storage.corp.example/", false)).resolves.toBeUndefined();
  });
});
