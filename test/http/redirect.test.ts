import { describe, expect, test } from "vitest";
import { RemoteError } from "../../src/core/error.ts";
import { guardRedirects } from "../../src/http/redirect.ts";

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
