import { expect, test } from "vitest";
import { nextLink } from "../../src/http/json.ts";

test.each([
  [null, undefined],
  ["", undefined],
  [
    '<https://a.test/?page=2>; rel="next", <https://a.test/?page=9>; rel="last"',
    "https://a.test/?page=2",
  ],
  [
    '<https://a.test/?page=1>; rel="prev", </x?page=3>; title="a, b; c"; rel="next"',
    "https://a.test/x?page=3",
  ],
  ["<?page=2>;rel=next", "https://a.test/b?page=2"],
  ['<https://a.test/?a=1,2;b>; rel="last next"', "https://a.test/?a=1,2;b"],
  ['<https://a.test/?page=1>; rel="nextish"', undefined],
  ['<https://a.test/?page=1>; rel="last"', undefined],
])("the next page of %s is %s", (header, next) => {
  expect(nextLink(header, "https://a.test/b")?.href).toBe(next);
});
