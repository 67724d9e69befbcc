import { describe, expect, test } from "vitest";
import { proxyFor } from "../../../src/host/net/proxy_variables.ts";

const PROXY = "http://proxy.test:3128/";

function chosen(url: string, env: Record<string, string>): string {
  return proxyFor(new URL(url), env)?.href ?? "direct";
}

describe("proxyFor", () => {
  test.each([
    ["https://a.test/", { HTTPS_PROXY: PROXY }, PROXY],
    ["https://a.test/", { HTTP_PROXY: PROXY }, "direct"],
    ["http://a.test/", { HTTP_PROXY: PROXY }, PROXY],
    ["http://a.test/", { HTTPS_PROXY: PROXY }, "direct"],
    ["http://a.test/", { ALL_PROXY: PROXY }, PROXY],
    ["http://a.test/", { ALL_PROXY: PROXY, http_proxy: "other:80" }, "http://other/"],
    [
      "http://a.test/",
      { HTTP_PROXY: PROXY, http_proxy: "http://lower.test/" },
      "http://lower.test/",
    ],
    ["http://a.test/", { HTTP_PROXY: " " }, "direct"],
    ["http://169.254.169.254/latest/", { HTTP_PROXY: PROXY }, "direct"],
    ["http://metadata.google.internal/", { ALL_PROXY: PROXY }, "direct"],
  ])("for %s with %o is %s", (url, env, expected) => {
    expect(chosen(url, env)).toBe(expected);
  });

  test.each([
    ["example.test", "https://example.test/", "direct"],
    ["example.test", "https://api.example.test/", "direct"],
    ["EXAMPLE.test", "https://API.example.TEST/", "direct"],
    [".example.test", "https://example.test/", "direct"],
    ["*.example.test", "https://api.example.test/", "direct"],
    ["example.test", "https://notexample.test/", PROXY],
    ["a.test, b.test", "https://b.test/", "direct"],
    ["a.test b.test", "https://b.test/", "direct"],
    ["example.test:443", "https://example.test/", "direct"],
    ["example.test:8443", "https://example.test/", PROXY],
    ["10.0.0.0/8", "https://10.1.2.3/", "direct"],
    ["10.0.0.0/8", "https://11.1.2.3/", PROXY],
    ["192.168.1.0/24", "https://192.168.2.1/", PROXY],
    ["0.0.0.0/0", "https://192.168.2.1/", "direct"],
    ["10.0.0.0/8", "https://ten.test/", PROXY],
    ["10.0.0.0/x", "https://10.0.0.1/", PROXY],
    ["::1", "https://[::1]/", "direct"],
    ["[::1]:443", "https://[::1]/", "direct"],
    ["[::1]:444", "https://[::1]/", PROXY],
    ["*", "https://example.test/", "direct"],
    [",, ", "https://example.test/", PROXY],
    ["example.test", "https://127.0.0.1/", PROXY],
  ])("with NO_PROXY=%s for %s is %s", (NO_PROXY, url, expected) => {
    expect(chosen(url, { HTTPS_PROXY: PROXY, NO_PROXY })).toBe(expected);
  });
});
