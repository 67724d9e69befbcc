import { expect, test } from "vitest";
import { digestIn, parseIndex } from "../../../src/verify/index_file/format.ts";

const DIGEST = `sha256:${"0".repeat(64)}`;
const INDEX = {
  format: 1,
  issued: "2026-01-01T00:00:00.000Z",
  expires: "2026-02-01T00:00:00Z",
  versions: { "v1.0.0": { "app.tar.gz": DIGEST } },
};

test("an index has the digest of each file by version", () => {
  const index = parseIndex(JSON.stringify(INDEX));
  if (typeof index === "string") throw new Error(index);
  expect(digestIn(index, "v1.0.0", "app.tar.gz")).toBe(DIGEST);
  expect(digestIn(index, "v1.0.0", "other")).toBeUndefined();
  expect(digestIn(index, "v2.0.0", "app.tar.gz")).toBeUndefined();
});

test("an index does not list the members that every object has", () => {
  const index = parseIndex(JSON.stringify(INDEX));
  if (typeof index === "string") throw new Error(index);
  expect(digestIn(index, "constructor", "name")).toBeUndefined();
  expect(digestIn(index, "v1.0.0", "constructor")).toBeUndefined();
});

test.each([
  ["text", "[", "it is not JSON"],
  ["null", "null", "it is not an index"],
  ["another format", { ...INDEX, format: 2 }, "it has a format that this dewy does not know"],
  ["a missing time", { ...INDEX, expires: undefined }, "expires"],
  ["a text as time", { ...INDEX, issued: "tomorrow" }, "issued"],
  ["a time that does not exist", { ...INDEX, expires: "2026-13-41T00:00:00Z" }, "expires"],
  ["a short digest", { ...INDEX, versions: { v1: { a: "sha256:00" } } }, "versions.v1.a"],
])("%s is not an index", (_, value, reason) => {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  expect(parseIndex(text)).toContain(reason);
});
