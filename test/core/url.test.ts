import { describe, expect, test } from "vitest";
import { declarePrintable, redactUrl } from "../../src/core/url.ts";

describe("redactUrl", () => {
  const names = ["allow", "artifact", "endpoint", "from", "pre-release", "region", "url"];
  declarePrintable({ made: { options: names.map((name) => ({ name })), requestKeys: ["n"] } });

  test.each([
    ["https://me:pw@h/a", "https://h/a"],
    ["//me:pw@h/a", "//h/a"],
    ["https://token@h/a", "https://h/a"],
    ["https://me:p@w@h/a", "https://h/a"],
    ["https://me:p/w?x#y@h/a", "https://h/a"],
    ["me:pw@h", "…@h"],
    ["me:p/w@h", "…@h"],
    ["token@h/a", "…@h/a"],
    ["https://h/a?token=pw&n=1#pw", "https://h/a?token=…&n=1"],
    ["s3://r/b?endpoint=http://me:pw@h:1/x", "s3://r/b?endpoint=http://h:1/x"],
    ["s3://r/b?endpoint=http%3A%2F%2Fme%3Apw%40h", "s3://r/b?endpoint=http://h"],
    ["s3://r/b?endpoint=me:pw@h", "s3://r/b?endpoint=…@h"],
    ["s3://r/b?endpoint=http://h/?token=pw", "s3://r/b?endpoint=http://h/?token=…"],
    ["slack://c?url=https://h/%3Ftoken%3Dpw", "slack://c?url=https://h/?token=…"],
  ])("%s is printed as %s", (url, shown) => {
    expect(redactUrl(url)).toBe(shown);
  });

  test.each([
    "https://h:8080/@scope/a@1.0",
    "https://[::1]:8080/a@b",
    "img://localhost:5000/o/app@sha256:abc",
    "ghcr.io/o/app@sha256:abc",
    "ghr://o/r?artifact=app+x%20y.tar.gz&pre-release=true",
    "smtp://h/to@example.com?from=dewy@example.com",
    "s3://r/b?endpoint=https://h:9000/x&region=r",
    "grpc://h?allow=http,file,a.example",
    "/srv/releases",
    "not a URL",
  ])("%s has nothing to hide", (url) => {
    expect(redactUrl(url)).toBe(url);
  });
});
