import { expect, test } from "vitest";
import { expand, readQuery } from "../../../src/fleet/check/query.ts";

const wave = { tag: "v1.3.0", wave: 2, hosts: ["web1.example", "web2"] };

test("placeholders get the tag, the wave, and the hosts as a regular expression", () => {
  const query = 'min(ok{version="{{tag}}", instance=~"({{ hosts }}):80"}) * {{wave}}';
  expect(expand(readQuery(query), wave)).toBe(
    String.raw`min(ok{version="v1.3.0", instance=~"(web1\\.example|web2):80"}) * 2`,
  );
});

test("a value cannot end the text that it stands in", () => {
  const hostile = { ...wave, tag: 'v1"} or vector(1) #\n\\' };
  expect(expand('ok{version="{{tag}}"}', hostile)).toBe(
    String.raw`ok{version="v1\"} or vector(1) #\n\\"}`,
  );
});

test("an expression without placeholders stays as it is", () => {
  const query = 'sum by (a) (rate(x{b="{"}[5m])) > bool 0 # $tag';
  expect(expand(readQuery(query), wave)).toBe(query);
});

test("an unknown placeholder is refused", () => {
  expect(() => readQuery('up{version="{{version}}"}')).toThrow(
    'Invalid value for --prometheus-query: unknown placeholder "{{version}}"; known are {{tag}}, {{wave}}, {{hosts}}',
  );
});
