import { expect, test } from "vitest";
import { ConfigError } from "../../../mod.ts";
import { appNameOf, checkAppName } from "../../../src/container/options/names.ts";
import { REFUSED, testVectors } from "../../support/vectors.ts";

testVectors(
  "cli-container",
  ({ in: { registry } }) => {
    try {
      return appNameOf(String(registry));
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      return REFUSED;
    }
  },
  ["appName"],
);

test.each(["app", "my-app", "my_app", "a.b", "a__b", "a--b", "0", "x".repeat(63)])(
  "accepts the app name %j",
  (name) => {
    expect(checkAppName(name, "--name")).toBe(name);
  },
);

test.each(["", ".", "..", "-a", "a-", "a/b", "a b", "a:b", "é", "a..b", "x".repeat(64), "a\n"])(
  "refuses the app name %j",
  (name) => {
    expect(() => checkAppName(name, "--name")).toThrow(`Invalid value for --name "${name}"`);
  },
);

test("suggests the lower-case name", () => {
  expect(() => checkAppName("MyApp", "--name")).toThrow("did you mean myapp?");
});
