import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ConfigError } from "../../../mod.ts";
import { parseArgv } from "../../../src/cli/flags/parse.ts";
import { commands, flags } from "../../../src/cli/flags/table.ts";

const REGISTRY = ["--registry", "ghr://o/r"];

describe("parseArgv keeps values exactly as typed", () => {
  const values = [
    "1.10",
    "1e3",
    "0x10",
    "007",
    " ",
    "true",
    "false",
    "-",
    "a=b",
    "ghr://o/r?a=1.0",
    "1,2",
  ];
  test.each(values)("%j after the flag", (value) => {
    expect(parseArgv(["assets", ...REGISTRY, "--slot", value]).text("slot")).toBe(value);
  });
  test.each([...values, "-5", "--x", ""])("%j after an equals sign", (value) => {
    expect(parseArgv(["assets", `--slot=${value}`, ...REGISTRY]).text("slot")).toBe(value);
  });
  test("an empty word is an empty value and does not swallow the next one", () => {
    const argv = parseArgv(["assets", "--slot", "", "--registry", "ghr://o/r"]);
    expect([argv.text("slot"), argv.text("registry")]).toEqual(["", "ghr://o/r"]);
  });
  test("a number is a word like any other", () => {
    expect(parseArgv(["check", "1.10"]).words).toEqual(["1.10"]);
  });
});

describe("parseArgv: order", () => {
  test("flags may come before the command", () => {
    const argv = parseArgv([...REGISTRY, "--once", "-i", "5", "assets"]);
    expect(argv.command).toBe("assets");
    expect([argv.text("registry"), argv.flag("once"), argv.text("interval")]).toEqual([
      "ghr://o/r",
      true,
      "5",
    ]);
  });
  test("flags may come after words", () => {
    const argv = parseArgv(["check", "ghr://o/r", "--json"]);
    expect([argv.words, argv.flag("json")]).toEqual([["ghr://o/r"], true]);
  });
  test("a boolean flag does not take the next word", () => {
    expect(parseArgv(["--json", "check", "ghr://o/r"]).words).toEqual(["ghr://o/r"]);
  });
  test("everything after -- is left alone", () => {
    const argv = parseArgv(["server", "--", "/app", "--port", "1.10"]);
    expect(argv.rest).toEqual(["/app", "--port", "1.10"]);
  });
  test("the last value of a repeated flag wins, in both spellings", () => {
    expect(parseArgv(["assets", "-i", "1", "--interval", "2"]).text("interval")).toBe("2");
    expect(parseArgv(["assets", "--interval", "2", "-i", "1"]).text("interval")).toBe("1");
  });
  test("all values of a repeatable flag count, in order", () => {
    const argv = parseArgv(["-p", "1", "server", "--port=2,3", "-p", "1.10", "--", "-p", "4"]);
    expect(argv.texts("port")).toEqual(["1", "2,3", "1.10"]);
    expect(argv.texts("env-file")).toEqual([]);
  });
  test("a boolean can be turned off again", () => {
    expect(parseArgv(["assets", "--once", "--once=false"]).flag("once")).toBe(false);
  });
});

describe("parseArgv refuses", () => {
  test.each([
    [["assets", "--regstry", "x"], "unknown flag --regstry; did you mean --registry?"],
    [["assets", "--admin-token", "x"], "did you mean --admin-token-file?"],
    [["assets", "--metrics"], "unknown flag --metrics; did you mean --telemetry?"],
    [["assets", "--intervall=5"], "unknown flag --intervall; did you mean --interval?"],
    [["assets", "--zzzzzz"], "unknown flag --zzzzzz"],
    [["assets", "-dx"], /^unknown flag -dx$/],
    [["assets", "-z", "/tmp/cache"], /^unknown flag -z$/],
    [["assets", "--registry.x=1"], "unknown flag --registry.x"],
    [["assets", "--__proto__=1"], "unknown flag --__proto__"],
    [["assets", "--no-once"], "unknown flag --no-once"],
    [["assets", "--logLevel", "info"], "unknown flag --logLevel; did you mean --log-level?"],
    [["assets", "--registry"], "--registry needs a value"],
    [["assets", "--registry", "--once"], "--registry needs a value"],
    [["assets", "--interval", "-5"], '--interval needs a value; write --interval=-5 if "-5" is'],
    [["assets", "--once=yes"], '--once does not take a value, but has "yes"'],
    [
      ["check", "--once"],
      'unknown flag --once for "dewy check" (it belongs to: server, assets, container)',
    ],
    [
      ["assets", "--bake", "1m"],
      'unknown flag --bake for "dewy assets" (it belongs to: server, container)',
    ],
    [["asets"], 'command is not available: "asets"; did you mean assets?'],
    [["roll"], 'command is not available: "roll"; did you mean rollback?'],
    [["SERVER"], 'command is not available: "SERVER"; did you mean server?'],
    [["rolback"], '"rolback"; did you mean rollback?'],
    [["stauts"], '"stauts"; did you mean status?'],
    [["undo"], '"undo"; did you mean rollback?'],
    [["stop"], '"stop"; choose one of: server,'],
    [["constructor"], '"constructor"; choose one of: server,'],
    [["help"], '"help"; did you mean --help?'],
    [["image", "--registry", "img://ghcr.io/o/a"], '"image"; did you mean container?'],
    [[], "command is not available"],
    [["--once"], "command is not available"],
  ])("%j", (argv, message) => {
    expect(() => parseArgv(argv)).toThrow(message);
  });
  test("--help works even on a line with errors", () => {
    expect(parseArgv(["assets", "--bogus", "--help"]).flag("help")).toBe(true);
    expect(parseArgv(["-h"]).flag("help")).toBe(true);
  });
  test("a command can be two words", () => {
    expect(parseArgv(["container", "list", "x"])).toMatchObject({
      command: "container list",
      words: ["x"],
    });
    expect(parseArgv(["container", "--", "list"])).toMatchObject({
      command: "container",
      words: [],
      rest: ["list"],
    });
  });
  test("hints that an unknown flag may be meant for the app", () => {
    expect(() => parseArgv(["server", "/app", "--verbose"])).toThrow(
      'unknown flag --verbose; flags of the app itself go after "--"',
    );
    expect(() => parseArgv(["server", "--verbose"])).toThrow(/^unknown flag --verbose$/);
  });
});

test("parseArgv returns or throws a ConfigError for any input", () => {
  const spelled = flags.flatMap(({ name, short }) => [`--${name}`, `--${name}=x`, `-${short}`]);
  const word = fc.oneof(
    fc.constantFrom(...spelled, "--", "-", "--=", "-=", "", "assets", "server", "1.10", "--a.b=c"),
    fc.string().map((text) => text.replaceAll("\0", "")),
  );
  fc.assert(
    fc.property(fc.array(word, { maxLength: 8 }), (argv) => {
      try {
        parseArgv(argv);
      } catch (error) {
        if (!(error instanceof ConfigError)) throw error;
      }
    }),
    { numRuns: 2000 },
  );
});

test.each(commands)("no two flags of dewy $name share a name", (command) => {
  const own = flags.filter((flag) => flag.commands.includes(command.name));
  const names = own.flatMap(({ name, short }) => (short === undefined ? [name] : [name, short]));
  expect(new Set(names).size).toBe(names.length);
});

test("flags with the same name are read alike in every command", () => {
  for (const flag of flags) {
    const alike = flags.filter(({ name }) => name === flag.name);
    for (const other of alike) expect(typeof other.value).toBe(typeof flag.value);
    for (const other of alike) expect(other.short).toBe(flag.short);
  }
});
