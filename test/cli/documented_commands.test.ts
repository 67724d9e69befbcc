import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parseArgv } from "../../src/cli/flags/parse.ts";
import { ROOT } from "../runtime/runtimes.ts";
import { readConfig } from "../support/read_config.ts";

/** The shell of a document, or all of a systemd unit. */
function shellOf(name: string, text: string): string {
  if (!name.endsWith(".md")) return text;
  return [...text.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block]) => block).join("\n");
}

/** The command lines of dewy. */
function commandLines(shell: string): string[] {
  return shell
    .replaceAll(/\\\n\s*/g, "")
    .split("\n")
    .map((line) => /^(?:ExecStart=\/usr\/local\/bin\/)?dewy (.*)$/.exec(line)?.[1])
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

const FOLDERS = [".", "docs", "examples/systemd"];
const files = FOLDERS.flatMap((folder) =>
  readdirSync(join(ROOT, folder))
    .filter((name) => /\.(md|service)$/.test(name))
    .map((name) => join(folder, name)),
);
const documented = files.flatMap((file) =>
  commandLines(shellOf(file, readFileSync(join(ROOT, file), "utf8"))).map(
    (line) => [file, line] as const,
  ),
);

describe("the command lines of README.md, docs/ and examples/", () => {
  test("are there", () => {
    expect(documented.length).toBeGreaterThan(10);
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
