import { expect, test } from "vitest";
import { notifiers } from "../../src/notifiers/table.ts";
import { secretsIn } from "../../src/notifiers/urls.ts";

test("the secrets of a webhook's URL are its path and the service's keys, not dewy's options", () => {
  const url =
    "teams+https://h.example/workflows/0123456789ab?sig=abc-DEF_0123456789&title=my-own-app&mention=alice@example.com";
  const secrets = secretsIn([url], notifiers);
  expect(secrets).toContain("0123456789ab");
  expect(secrets).toContain("abc-DEF_0123456789");
  expect(secrets).not.toContain("my-own-app");
  expect(secrets).not.toContain("alice@example.com");
});
