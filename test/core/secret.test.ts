import { describe, expect, test } from "vitest";
import { createRedactor } from "../../src/core/secret.ts";
import { declarePrintable } from "../../src/core/url.ts";

const VARIABLES = [
  { name: "DOCKER_PASSWORD", secret: true },
  { name: "DOCKER_AUTH_CONFIG", secret: true },
  { name: "APP_KEY_PEM", secret: true },
  { name: "DRIVER_TOKEN_KIND", secret: false },
  { name: "GOOGLE_APPLICATION_CREDENTIALS", secret: "json" as const },
  { name: "DRIVER_HEADERS", secret: "pairs" as const },
];
const redact = (text: string, env: Record<string, string | undefined>): string =>
  createRedactor(VARIABLES, env)(text);

describe("createRedactor", () => {
  declarePrintable({ made: { requestKeys: ["n"] } });

  test.each([
    ["a variable that a driver calls secret", "DOCKER_PASSWORD", "correct horse"],
    ["JSON in a variable that may hold a path", "GOOGLE_APPLICATION_CREDENTIALS", '{"a":"b"}'],
    ["a variable of the operator's that is named like a secret", "DB_PASSWORD", "correct horse"],
    ["characters that mean something in a pattern", "DOCKER_PASSWORD", "a.b*c(d)[e]$^|\\/-"],
  ])("masks the value of %s", (_, name, value) => {
    expect(redact(`it wrote: ${value}!`, { [name]: value })).toBe("it wrote: …!");
  });

  test.each([
    ["GOOGLE_APPLICATION_CREDENTIALS", "/etc/dewy/key.json"],
    ["DRIVER_TOKEN_KIND", "not-a-secret"],
    ["CREDENTIALS_DIRECTORY", "/run/credentials/dewy.service"],
    ["AWS_WEB_IDENTITY_TOKEN_FILE", "/var/run/token"],
    ["DB_PASSWORD", "short"],
    ["DOCKER_PASSWORD", "abc"],
    ["HOSTNAME", "web1.example.com"],
  ])("leaves that of %s, %s", (name, value) => {
    expect(redact(`no ${value}`, { [name]: value })).toBe(`no ${value}`);
  });

  test("masks a short secret of a driver where it stands alone", () => {
    const env = { DOCKER_PASSWORD: "test" };
    expect(redact("test, latest, test-1 and u:test@h", env)).toBe("…, latest, test-1 and u:…@h");
  });

  test("masks a value as it stands in JSON and in a URL", () => {
    const env = { DOCKER_PASSWORD: 'pass"word/ü 1' };
    const text = `${JSON.stringify(env)} https://h/a/${encodeURIComponent(env.DOCKER_PASSWORD)}`;
    expect(redact(text, env)).toBe('{"DOCKER_PASSWORD":"…"} https://h/a/…');
  });

  test("masks each line of a value, since output is handled by the line", () => {
    const key = "-----BEGIN KEY-----\nMIIEvQIBADANBg\n  kqhkiG9w0BAQEF\n-----END KEY-----\n";
    for (const line of ["MIIEvQIBADANBg", "kqhkiG9w0BAQEF"]) {
      expect(redact(`> ${line} <`, { APP_KEY_PEM: key })).toBe("> … <");
    }
    expect(redact(`key: ${key.trim()}.`, { APP_KEY_PEM: key })).toBe("key: ….");
  });

  test("masks the secret fields of JSON that is written in another way", () => {
    const login = { auth: "dXNlcjpodW50ZXIy", email: "me@example.com" };
    const env = { DOCKER_AUTH_CONFIG: JSON.stringify({ auths: { "r.example": login } }) };
    const printed = JSON.stringify(JSON.parse(env.DOCKER_AUTH_CONFIG), null, 2);
    expect(redact(printed, env)).toContain('"auth": "…"');
    expect(redact(printed, env)).toContain("me@example.com");
  });

  test("masks the values of pairs, decoded and without their scheme, but not short ones", () => {
    const env = { DRIVER_HEADERS: "authorization=Bearer%20hunter2hunter2, x-team=shop" };
    expect(redact(env.DRIVER_HEADERS, env)).toBe("…");
    expect(redact("Bearer hunter2hunter2", env)).toBe("…");
    expect(redact("it sent hunter2hunter2 for shop", env)).toBe("it sent … for shop");
  });

  test("masks the passwords of URLs in any variable", () => {
    const env = { DATABASE_URL: "postgres://app:s3cret%2Fword@db/app", PLAIN_URL: "https://h/a" };
    expect(redact("s3cret/word, s3cret%2Fword, https://h/a", env)).toBe("…, …, https://h/a");
    expect(redact(env.DATABASE_URL, env)).toBe("postgres://db/app");
  });

  test("masks the longer one of two secrets that overlap, and those of every environment", () => {
    const envs = [{ A_TOKEN: "abcdefgh" }, { B_TOKEN: "abcdefgh-ijkl" }];
    expect(createRedactor([], ...envs)("abcdefgh-ijkl abcdefgh")).toBe("… …");
  });

  test("masks what looks like a credential, wherever it came from", () => {
    expect(redact("ghp_0123456789 https://h/?sig=abc&n=1 Bearer abc12345", {})).toBe(
      "… https://h/?sig=…&n=1 …",
    );
  });
});
