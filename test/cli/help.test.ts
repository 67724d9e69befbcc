import { describe, expect, test } from "vitest";
import { commands, flags } from "../../src/cli/flags/table.ts";
import { run } from "../../src/cli/run.ts";
import { fakeProcess } from "./process.ts";

async function help(
  argv: readonly string[],
  options: Parameters<typeof fakeProcess>[0] = {},
): Promise<string> {
  const io = fakeProcess(options);
  expect(await run([...argv, "--help"], io)).toBe(0);
  expect(io.err()).toBe("");
  return io.out();
}

const longest = (text: string): number => Math.max(...text.split("\n").map((line) => line.length));
// A line that is copied or cannot be broken: usage, example, URL.
const prose = (text: string): string =>
  text
    .split("\n")
    .filter((line) => !/^Usage: | {2}dewy |^ {2}\w+:\/\//.test(line))
    .join("\n");

describe.each(commands.map(({ name, example }) => ({ name, example })))(
  "dewy $name --help",
  ({ name, example }) => {
    const argv = name.split(" ");
    test("has each flag of the command once, and none of another command", async () => {
      const out = await help(argv);
      for (const flag of flags) {
        const lines = out
          .split("\n")
          .filter((line) => line.includes(`  --${flag.name}`) || line.includes(`, --${flag.name}`));
        const typed = lines
          .filter((line) => /^ {2}(-\w, | {4})--/.test(line))
          .map(
            (line) =>
              line
                .trim()
                .replace(/^-\w, /, "")
                .split(" ")[0],
          );
        const isOwn = flags.some((one) => one.name === flag.name && one.commands.includes(name));
        expect(typed.filter((word) => word === `--${flag.name}`)).toHaveLength(isOwn ? 1 : 0);
      }
    });
    test("has an example", async () => {
      expect(await help(argv)).toContain(`Example:\n  ${example}\n`);
    });
    test.each<[string, Parameters<typeof fakeProcess>[0], number]>([
      ["80 columns where the width is not known", {}, 80],
      ["the width of the terminal", { isTerminal: true, columns: 60 }, 60],
      ["COLUMNS", { columns: 60, env: { COLUMNS: "72" } }, 72],
      ["100 columns at most", { isTerminal: true, columns: 250 }, 100],
      ["40 columns at least", { isTerminal: true, columns: 5 }, 40],
    ])("is wrapped to %s", async (_, options, width) => {
      const text = prose(await help(argv, { ...options, env: { NO_COLOR: "1", ...options?.env } }));
      if (width > 40) expect(longest(text)).toBeLessThanOrEqual(width);
      expect(longest(text)).toBeGreaterThan(width - 20);
    });
  },
);

test("flags are grouped, and a default stays in one line", async () => {
  const out = await help(["server"]);
  for (const title of [
    "Registry",
    "Ports",
    "Switch",
    "Health",
    "Hooks",
    "Notifications",
    "Status page",
    "Telemetry",
    "Limits",
    "Logging",
  ])
    expect(out).toContain(`\n${title}:\n`);
  expect(out).toContain("(default: 10s)");
  expect(out).toContain("(default: 2GiB)");
  expect(out).not.toContain("\u00a0");
});

// A flag that several commands share has a text for each, or one that fits them all.
test.each([
  [/container/i, ["container", "container list"]],
  [/\bgeneration\b|\bthe app\b|\bworker\b/i, ["server"]],
  [/gateway|upstream/i, ["registry"]],
] as const)("texts with %s are only in the help of %j", (pattern, owners) => {
  const others = flags.filter(({ description }) => pattern.test(description));
  expect(others.length).toBeGreaterThan(0);
  for (const { name, commands: shown } of others) {
    for (const command of shown) expect(owners, `--${name}`).toContain(command);
  }
});

describe("colours", () => {
  const isTerminal = true;
  test("are for terminals", async () => {
    const out = await help(["server"], { isTerminal, env: { NO_COLOR: "" } });
    expect(out).toContain("\u001b[1mSwitch:\u001b[22m\n");
    expect(out).toContain("\u001b[2m(default: 10s)\u001b[22m");
  });
  test.each([
    ["a pipe", {}],
    ["NO_COLOR", { isTerminal, env: { NO_COLOR: "1" } }],
    ["a dumb terminal", { isTerminal, env: { TERM: "dumb" } }],
  ])("are left out for %s", async (_, options) => {
    expect(await help(["server"], options)).not.toContain("\u001b");
    expect(await help([], options)).not.toContain("\u001b");
  });
});
