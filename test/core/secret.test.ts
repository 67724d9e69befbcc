import { describe, expect, test } from "vitest";
import { redactSecrets } from "../../src/core/secret.ts";

describe("redactSecrets", () => {
  test.each([
    ["GITHUB_TOKEN", "ghp_0123456789"],
    ["GCR_TOKEN", '{"private_key":"k"}'],
    ["GOOGLE_APPLICATION_CREDENTIALS", '{"private_key":"k"}'],
    ["DB_PASSWORD", "correct horse"],
  ])("takes the value of %s out", (name, value) => {
    expect(redactSecrets(`it wrote: ${value}!`, { [name]: value })).toBe("it wrote: …!");
  });
  test.each([
    ["GOOGLE_APPLICATION_CREDENTIALS", "/etc/dewy/key.json"],
    ["CREDENTIALS_DIRECTORY", "/run/credentials/dewy.service"],
    ["AWS_WEB_IDENTITY_TOKEN_FILE", "/var/run/token"],
    ["GITHUB_TOKEN", "short"],
    ["HOSTNAME", "web1.example.com"],
  ])("leaves that of %s, %s", (name, value) => {
    expect(redactSecrets(`no ${value}`, { [name]: value })).toBe(`no ${value}`);
  });
});
