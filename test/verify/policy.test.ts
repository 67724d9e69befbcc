import { expect, test } from "vitest";
import { formatPolicy, parsePolicy } from "../../src/verify/policy.ts";

test("defaults to auto", () => {
  expect(parsePolicy([])).toEqual({ mode: "auto" });
  expect(parsePolicy(["auto"])).toEqual({ mode: "auto" });
});

test("reads none", () => {
  expect(parsePolicy(["none"])).toEqual({ mode: "none" });
});

test("joins the rules of the flag and of the URL, each once", () => {
  expect(parsePolicy(["checksums", "minisign=RWQ=", "checksums"])).toEqual({
    mode: "rules",
    rules: [
      { kind: "checksums", value: "" },
      { kind: "minisign", value: "RWQ=" },
    ],
  });
});

test.each([
  [["none", "checksums"], `"none" cannot be combined with "checksums"`],
  [["checksums", "auto"], `"auto" cannot be combined with "checksums"`],
  [["none", "auto"], "cannot be combined"],
  [["minsign=RWQ"], `unknown kind "minsign"; did you mean "minisign"?`],
  [["pgp"], `unknown kind "pgp"; use checksums, minisign`],
  // Of a variable that is not set.
  [[""], "it is empty; name what versions must have, or leave it out"],
  [["checksums", ""], "it is empty"],
  [["toString"], `unknown kind "toString"`],
])("refuses %j", (values, message) => {
  expect(() => parsePolicy(values)).toThrow(message);
});

test("equal policies have the same text", () => {
  const [one, other] = [
    ["checksums", "ssh=FILE"],
    ["ssh=FILE", "checksums"],
  ].map(parsePolicy);
  expect(one && formatPolicy(one)).toBe("checksums ssh=FILE");
  expect(other && formatPolicy(other)).toBe("checksums ssh=FILE");
  expect(formatPolicy(parsePolicy([]))).toBe("auto");
});
