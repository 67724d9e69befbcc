import { readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import { ROOT, run } from "./runtime/runtimes.ts";
import { codeBlocks, documents } from "./support/documents.ts";

const manifest = JSON.parse(readFileSync(join(ROOT, "deno.json"), "utf8")) as {
  exports: Readonly<Record<string, string>>;
};
const DENO = join(ROOT, "node_modules", ".bin", "deno");
const ENTRIES = Object.values(manifest.exports).filter((file) => file !== "./cli.ts");
/** Uses the installed packages, so that no test queries a package registry. */
const INSTALLED = ["--no-lock", "--node-modules-dir=manual"];
/**
 * Without it `deno doc` fetches every package that the machine lacks, and lists that among its
 * findings.
 */
const DOC = ["doc", "--quiet", "--no-npm"];
const TIMEOUT_MS = 300_000;

interface Documented {
  name: string;
  declarations: {
    location: { filename: string };
    kind: string;
    declarationKind: string;
    jsDoc?: { tags?: { kind: string }[] };
  }[];
}

/** The public API as `deno doc` sees it. */
async function publicSymbols(): Promise<Documented[]> {
  const { stdout, stderr, code } = await run(DENO, [...DOC, "--json", ...ENTRIES]);
  if (code !== 0) throw new Error(stderr);
  const { nodes } = JSON.parse(stdout) as { nodes: Record<string, { symbols: Documented[] }> };
  return Object.values(nodes).flatMap(({ symbols }) => symbols);
}

describe("the documentation of the public API", { timeout: TIMEOUT_MS }, () => {
  let symbols: Documented[];
  beforeAll(async () => {
    symbols = await publicSymbols();
  });

  test("covers every symbol and what it refers to", async () => {
    const { code, stderr } = await run(DENO, [...DOC, "--lint", ...ENTRIES]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  });

  test("has an example for every function", () => {
    const bare = symbols
      .filter(({ declarations }) => declarations.some(({ kind }) => kind === "function"))
      .filter(({ declarations }) => !declarations.some(hasExample));
    expect(bare.map(({ name }) => name)).toEqual([]);
  });

  test("has examples that pass, without network", async () => {
    const files = filesWithExamples(symbols);
    // The next test compiles them.
    const options = ["--no-check", "--parallel", "-A", "--deny-net", ...INSTALLED];
    const { code, stdout, stderr } = await run(DENO, ["test", "--doc", ...options, ...files], {
      timeoutMs: TIMEOUT_MS,
    });
    expect(code, `${stdout}${stderr}`).toBe(0);
    expect(Number(/ok \| (\d+) passed/.exec(stdout)?.[1])).toBeGreaterThanOrEqual(files.size);
  });

  test("contains only TypeScript that compiles, in every example and document", async () => {
    const files = documents()
      .filter(({ text }) => codeBlocks(text).some(({ language }) => language === "ts"))
      .map(({ file }) => file);
    expect(files).toContain("docs/library.md");
    const { code, stderr } = await run(
      DENO,
      ["check", "--doc-only", ...INSTALLED, ...files, ...filesWithExamples(symbols)],
      { timeoutMs: TIMEOUT_MS },
    );
    expect(code, stderr).toBe(0);
  });
});

function filesWithExamples(symbols: readonly Documented[]): ReadonlySet<string> {
  const urls = symbols.flatMap(({ declarations }) =>
    declarations.filter(hasExample).map(({ location }) => location.filename),
  );
  return new Set(urls.map((url) => relative(ROOT, fileURLToPath(url))));
}

function hasExample({ jsDoc }: Documented["declarations"][number]): boolean {
  return jsDoc?.tags?.some(({ kind }) => kind === "example") ?? false;
}
