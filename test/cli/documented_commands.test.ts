import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parseArgv } from "../../src/cli/flags/parse.ts";
import { ROOT } from "../runtime/runtimes.ts";
import { codeBlocks, documents } from "../support/documents.ts";
import { readConfig } from "../support/read_config.ts";

/** The shell of a document, and the commands that its examples of output begin with. */
function shellOf(text: string): string {
  return codeBlocks(text)
    .map(({ language, code }) => {
      if (language === "sh" || language === "ini") return code;
      const typed = language === "text" ? code.match(/(?<=^\$ ).*$/gm) : null;
      return (typed ?? []).join("\n");
    })
    .join("\n");
}

const COMMAND =
  /^(?:(?:ExecStart=\/usr\/local\/bin\/)?dewy|node "?(?:\$DEWY\/)?dist\/cli\.js"?) (.*)$/;

/** The command lines of dewy. */
function commandLines(shell: string): string[] {
  return shell
    .replaceAll(/\\\n\s*/g, "")
    .split("\n")
    .map((line) => COMMAND.exec(line)?.[1])
    .filter((line) => line !== undefined)
    .map((line) => line.replace(/\s+# .*$/, "").trim());
}

/** As a shell would, as far as the documents need it. */
function words(line: string): string[] {
  const found = line.match(/(?:[^\s"']+|"[^"]*"|'[^']*')+/g) ?? [];
  const isEnd = (word: string): boolean => /^(&|&&|\||\|\||>|2>&1)$/.test(word);
  const end = found.findIndex(isEnd);
  return (end < 0 ? found : found.slice(0, end))
    .map((word) => word.replaceAll(/["']/g, ""))
    .map((word) => word.replace(/^\$registry$/, "s3://region/bucket"));
}

const UNITS = "examples/systemd";
const shells = [
  ...documents().map(({ file, text }) => [file, shellOf(text)] as const),
  ...readdirSync(join(ROOT, UNITS))
    .filter((name) => name.endsWith(".service"))
    .map((name) => [name, readFileSync(join(ROOT, UNITS, name), "utf8")] as const),
];
const documented = shells.flatMap(([file, shell]) =>
  commandLines(shell).map((line) => [file, line] as const),
);

describe("the command lines of documents and systemd units", () => {
  test("are there", () => {
    expect(documented.length).toBeGreaterThan(50);
    const [first] = commandLines("dewy check a \\\n  'b c' # why\n");
    expect(words(first ?? "")).toEqual(["check", "a", "b c"]);
  });
  test.each(documented)("%s: dewy %s", (_, line) => {
    const parsed = parseArgv(words(line));
    const { command } = parsed;
    if (command === undefined) throw new Error("it names no command");
    expect(readConfig(command, parsed)).toMatchObject({ command });
  });
});
