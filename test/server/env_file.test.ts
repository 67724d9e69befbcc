import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ConfigError } from "../../mod.ts";
import { parseEnvFile } from "../../src/server/env_file.ts";

function parsed(text: string): Record<string, string> {
  return { ...parseEnvFile(text, "app.env") };
}

describe("parseEnvFile", () => {
  test.each([
    ["A=1\nB=2", { A: "1", B: "2" }],
    ["A=1\r\nB=2\r\n", { A: "1", B: "2" }],
    ["\uFEFFA=1", { A: "1" }],
    ["# a comment\n\n  # another\nA=1", { A: "1" }],
    ["export A=1\nexport\tB=2", { A: "1", B: "2" }],
    ["  A = 1  ", { A: "1" }],
    ["A=", { A: "" }],
    ["A=x=y", { A: "x=y" }],
    ["A=one two", { A: "one two" }],
    ["A=x # why", { A: "x" }],
    ["A=# nothing", { A: "" }],
    ["A=http://h/#part", { A: "http://h/#part" }],
    ["A='it is # $HOME \\n'", { A: "it is # $HOME \\n" }],
    ['A="tab\\tnl\\n\\"\\\\ # \\$" # why', { A: 'tab\tnl\n"\\ # $' }],
    ["A=$HOME", { A: "$HOME" }],
    ['A="it\'s"', { A: "it's" }],
    ['A="-----BEGIN\n  b\n-----END"\nB=2', { A: "-----BEGIN\n  b\n-----END", B: "2" }],
    ["A=' x '", { A: " x " }],
    ["A='x '\n", { A: "x " }],
    ["A='x \ny'", { A: "x \ny" }],
    ["A=1\nA=2", { A: "2" }],
    [
      "__proto__=x\nconstructor=y",
      Object.fromEntries([
        ["__proto__", "x"],
        ["constructor", "y"],
      ]),
    ],
  ])("reads %j", (text, variables) => {
    expect(Object.entries(parsed(text))).toEqual(Object.entries(variables));
  });
  test.each([
    ["A=1\n\nSECRET", "line 3: expected KEY=VALUE"],
    ["1A=x", "line 1: expected KEY=VALUE"],
    ["=x", "line 1: expected KEY=VALUE"],
    ["A B=x", "line 1: expected KEY=VALUE"],
    ["A=1\nB='x", "line 2: the value of B has no closing '"],
    ['A="x\ny\n', 'line 1: the value of A has no closing "'],
    ['A="x"y', 'line 1: there is text after the closing " of A'],
    ['A="1\n2"\nB', "line 3: expected KEY=VALUE"],
    ["A=x\0y", "line 1: the value of A contains a NUL"],
  ])("rejects %j and names the line", (text, message) => {
    expect(() => parsed(text)).toThrow(`Cannot read --env-file "app.env", ${message}`);
  });
  test("an error never shows a value", () => {
    const attempt = (): unknown => parsed("hunter2hunter2\nPASSWORD='hunter2hunter2");
    expect(attempt).toThrow(ConfigError);
    expect(attempt).not.toThrow("hunter2");
  });
  test("returns every quoted value", () => {
    const value = fc.string({ unit: "binary" }).map((text) => text.replaceAll(/[\0\r]/g, ""));
    fc.assert(
      fc.property(value, (text) => {
        const quoted = text.replaceAll(/["\\]/g, "\\$&");
        expect(parsed(`A="${quoted}"\nB=1`)).toEqual({ A: text, B: "1" });
      }),
    );
  });
});
