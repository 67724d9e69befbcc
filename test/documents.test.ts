import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { describe, expect, test } from "vitest";
import { neutralEnvironment, ROOT } from "./runtime/runtimes.ts";
import { codeBlocks, documents, proseOf } from "./support/documents.ts";
import { anchor } from "./support/reference.ts";
import { tempDirectory } from "./support/temp_directory.ts";

const all = documents();
const blocks = all.flatMap(({ file, text }) =>
  codeBlocks(text).map((block) => ({ ...block, file })),
);
const textOf = (name: string): string => all.find(({ file }) => file === name)?.text ?? "";

/**
 * docs.test.ts type-checks `ts`, publishing.test.ts runs `yaml`; documented_commands.test.ts and this
 * file parse the rest, except `text`.
 */
const LANGUAGES = ["ts", "sh", "ini", "json", "yaml", "text"];

describe("a code block", () => {
  test("names a language that a test checks, or is marked as text", () => {
    const others = blocks
      .filter(({ language }) => !LANGUAGES.includes(language))
      .map(({ file, line, language }) => `${file}:${line}: "${language}"`);
    expect(others).toEqual([]);
    expect(blocks.length).toBeGreaterThan(50);
  });

  test.each(blocks.filter(({ language }) => language === "json"))(
    "of JSON is valid: $file:$line",
    ({ code }) => {
      expect(() => JSON.parse(code)).not.toThrow();
    },
  );

  const shell = blocks.filter(({ language }) => language === "sh");

  test.each(shell)("of shell has valid syntax: $file:$line", ({ code }) => {
    const { status, stderr } = spawnSync("bash", ["-n"], { input: code, encoding: "utf8" });
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  });

  test("of shell runs only npm scripts that exist", () => {
    const { scripts } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
    const names = shell.flatMap(({ code }) =>
      [...code.matchAll(/npm run ([\w:]+)/g)].map(([, name = ""]) => name),
    );
    expect(names).toContain("quickstart");
    expect(names.filter((name) => !Object.hasOwn(scripts, name))).toEqual([]);
  });
});

test("README.md shows what the quickstart prints", () => {
  const [folder, name] = ["examples/quickstart", /^run\.\w+$/];
  const file = readdirSync(join(ROOT, folder)).find((one) => name.test(one)) ?? "";
  // Numbers differ from run to run; the source has `${…}` in their place.
  const source = readFileSync(join(ROOT, folder, file), "utf8").replaceAll(/\$\{[^}]*\}/g, "N");
  const readme = codeBlocks(textOf("README.md"));
  const command = readme.findIndex(({ code }) => code.includes("npm run quickstart"));
  const lines = (readme[command + 1]?.code ?? "")
    .split("\n")
    // The list of versions is built at run time.
    .map((line) => line.replace(/(meanwhile: ).*/, "$1"))
    .filter((line) => line !== "");
  expect(lines.at(-1)).toBe("Requests lost: 0");
  const missing = lines.filter((line) => {
    const [exact, general] = [line, line.replaceAll(/(?<![v.\d])\d+(?![.\d])/g, "N")];
    return !source.includes(exact) && !source.includes(general);
  });
  expect(missing).toEqual([]);
});

test("getting-started.md works as written", async () => {
  const directory = await tempDirectory();
  const guide = textOf("docs/getting-started.md");
  const part = guide.slice(
    guide.indexOf("## Deploy a first version"),
    guide.indexOf("## With your own releases"),
  );
  const steps = codeBlocks(part).map(({ language, code }) => ({
    language,
    // An agent would not exit: each step deploys once, and the second version is deployed by hand.
    code: code.replaceAll("/tmp", directory).replace("--interval 5s", "--once"),
  }));
  const deploy = steps.find(({ code }) => code.includes("dewy assets"))?.code ?? "";
  let output = "";
  let expected = 0;
  for (const { language, code } of steps) {
    if (language === "sh") {
      const before = code.startsWith("cat ") ? deploy : "";
      output = execFileSync("sh", ["-ec", `dewy() { node dist/cli.js "$@"; }\n${before}${code}`], {
        cwd: ROOT,
        env: neutralEnvironment(),
        encoding: "utf8",
      });
    } else {
      expected += 1;
      expect(stable(output)).toContain(stable(code).trim());
    }
  }
  expect(expected).toBe(2);
});

/** Removes what differs between machines. */
function stable(output: string): string {
  return output
    .replaceAll(/site_\w+\.tar\.gz/g, "site.tar.gz")
    .replaceAll(/^(size|published|platform) .*$/gm, "$1");
}

describe("a link", () => {
  const targets = new Map(all.map(({ file, text }) => [file, anchorsOf(text)]));
  const links = all.flatMap(({ file, text }) =>
    [...proseOf(text).matchAll(/\]\(([^)\s]+)\)/g)]
      .map(([, target = ""]) => ({ file, target }))
      .filter(({ target }) => !/^[a-z]+:/.test(target)),
  );

  test("between documents leads to a file and a heading that exist", () => {
    const broken = links.filter(({ file, target }) => {
      const [path = "", fragment] = target.split("#");
      const to = path === "" ? file : normalize(join(dirname(file), path));
      if (!existsSync(join(ROOT, to))) return true;
      return fragment !== undefined && !targets.get(to)?.has(fragment);
    });
    expect(broken).toEqual([]);
    expect(links.length).toBeGreaterThan(100);
  });

  test("leads to every document from README.md or docs/README.md", () => {
    const linked = new Set(
      links
        .filter(({ file }) => /(^|\/)README\.md$/.test(file))
        .map(({ file, target }) => normalize(join(dirname(file), target.split("#")[0] ?? ""))),
    );
    const documented = all.map(({ file }) => file).filter((file) => !/README\.md$/.test(file));
    expect(documented.filter((file) => !linked.has(file))).toEqual([]);
  });
});

/** The fragments of all headings. */
function anchorsOf(text: string): ReadonlySet<string> {
  const headings = [...proseOf(text).matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) => heading);
  return new Set(headings.map(anchor));
}

test("a source file that a document names exists", () => {
  const files = ["src", "test", "proto"]
    .flatMap((folder) =>
      readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" }).map((name) =>
        join(folder, name),
      ),
    )
    .concat(readdirSync(ROOT));
  const pages = all.filter(({ file }) => /^(docs|CONTRIBUTING)/.test(file));
  const named = pages.flatMap(({ file, text }) =>
    [...proseOf(text).matchAll(/`([\w./-]+\.ts)`/g)].map(([, name = ""]) => ({ file, name })),
  );
  const exists = (name: string): boolean =>
    files.some((path) => path === name || path.endsWith(`/${name}`));
  expect(named.filter(({ name }) => !exists(name))).toEqual([]);
  expect(named.length).toBeGreaterThan(30);
});
