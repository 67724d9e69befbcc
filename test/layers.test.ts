import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

const ROOT = fileURLToPath(new URL("..", import.meta.url));

/** The folders of src/, lowest layer first. Imports run down this list; folders of one line are strangers. */
const LAYERS: readonly (readonly string[])[] = [
  ["core"],
  ["gen"],
  ["client"],
  ["registry", "cache", "notifier", "verify", "deploy", "gateway"],
  ["host"],
  ["deployers", "admin"],
  ["app"],
];
const HOST = LAYERS.findIndex((folders) => folders.includes("host"));

/** What code below the host may use: packages that need nothing but web standards. */
const EDGE_PACKAGES = new Set([
  "aws4fetch",
  "@bufbuild/protobuf",
  "@connectrpc/connect",
  "@connectrpc/connect-web",
  "@aws-crypto/crc32",
  "@aws-crypto/crc32c",
  "fast-xml-parser",
  "jose",
  "semver",
  "valibot",
]);
const CORE_PACKAGES = new Set(["semver"]);

interface Module {
  /** The path from the project's root. */
  file: string;
  /** What it imports, types included. */
  imports: readonly Import[];
}

interface Import {
  /** As written. */
  specifier: string;
  /** Whether only types come from there: nothing is left of it at run time. */
  isErased: boolean;
}

/** Where a module stands: mod.ts is the top of what runs on the edge, cli.ts is above everything. */
function layerOf(file: string): { layer: number; folder: string } {
  if (file === "mod.ts") return { layer: HOST - 0.5, folder: "mod.ts" };
  if (file === "cli.ts") return { layer: LAYERS.length, folder: "cli.ts" };
  const folder = file.split("/")[1] ?? "";
  const layer = LAYERS.findIndex((folders) => folders.includes(folder));
  if (layer < 0) throw new Error(`${file}: the folder src/${folder} has no layer; add it here`);
  return { layer, folder };
}

/** What is wrong with one import, as a sentence; nothing when it is right. */
function broken(file: string, specifier: string): string[] {
  const from = layerOf(file);
  if (!specifier.startsWith(".")) {
    if (from.layer >= HOST) return [];
    if (/^(node:|bun:|bun$)/.test(specifier)) {
      return [`${file} imports ${specifier}: only src/host and above may`];
    }
    const name = packageName(specifier);
    const allowed = from.folder === "core" ? CORE_PACKAGES : EDGE_PACKAGES;
    return allowed.has(name) ? [] : [`${file} imports ${name}: not a package for this layer`];
  }
  const target = targetOf(file, specifier);
  const to = layerOf(target);
  if (to.layer > from.layer) return [`${file} imports ${target}: imports run downward only`];
  if (to.layer === from.layer && to.folder !== from.folder) {
    return [`${file} imports ${target}: folders of one layer do not know each other`];
  }
  return [];
}

function packageName(specifier: string): string {
  return specifier.split("/", specifier.startsWith("@") ? 2 : 1).join("/");
}

function targetOf(file: string, specifier: string): string {
  return normalize(join(dirname(file), specifier));
}

/** Import cycles at run time, each as the way round; types may refer to each other. */
function cycles(modules: readonly Module[]): string[] {
  const imported = new Map(
    modules.map(({ file, imports }) => [
      file,
      imports
        .filter(({ specifier, isErased }) => specifier.startsWith(".") && !isErased)
        .map(({ specifier }) => targetOf(file, specifier)),
    ]),
  );
  const found: string[] = [];
  const done = new Set<string>();
  const visit = (file: string, path: readonly string[]): void => {
    if (path.includes(file)) found.push([...path.slice(path.indexOf(file)), file].join(" -> "));
    if (path.includes(file) || done.has(file)) return;
    for (const next of imported.get(file) ?? []) visit(next, [...path, file]);
    done.add(file);
  };
  for (const { file } of modules) visit(file, []);
  return found;
}

function importsOf(source: string): Import[] {
  const code = source.replaceAll(/^\s*(\/?\*|\/\/).*$/gm, "");
  const statements = code.matchAll(/^(?:import|export)\b([^;"']*?)\bfrom\s*["']([^"']+)["']/gm);
  const bare = code.matchAll(/^import(\s*)["']([^"']+)["']/gm);
  const inline = code.matchAll(/\bimport\((\s*)["']([^"']+)["']\s*\)/g);
  return [...statements, ...bare, ...inline].map(([, clause = "", specifier = ""]) => ({
    specifier,
    // `import { type A }` stays as `import {}` under verbatimModuleSyntax.
    isErased: /^\s*type\b/.test(clause),
  }));
}

function modulesOfProject(): Module[] {
  const sources = readdirSync(join(ROOT, "src"), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".ts"))
    .map((entry) => relative(ROOT, join(entry.parentPath, entry.name)));
  return [...sources, "mod.ts", "cli.ts"].map((file) => ({
    file,
    imports: importsOf(readFileSync(join(ROOT, file), "utf8")),
  }));
}

describe("the layers of src/", () => {
  const modules = modulesOfProject();

  test("are what every import keeps to", () => {
    const problems = modules.flatMap(({ file, imports }) =>
      imports.flatMap(({ specifier }) => broken(file, specifier)),
    );
    expect(problems).toEqual([]);
  });

  test("have no import cycle", () => {
    expect(cycles(modules)).toEqual([]);
  });

  test("below the host are all type-checked without host types", () => {
    const { include } = JSON.parse(readFileSync(join(ROOT, "tsconfig.edge.json"), "utf8"));
    const folders = new Set(
      modules
        .filter(({ file }) => file.startsWith("src/") && layerOf(file).layer < HOST)
        .map(({ file }) => `src/${layerOf(file).folder}`),
    );
    expect(include).toEqual(expect.arrayContaining([...folders]));
  });
});

describe("this test", () => {
  test.each([
    ["src/core/a.ts", "../client/b.ts", "downward"],
    ["src/registry/a.ts", "../notifier/b.ts", "do not know each other"],
    ["src/registry/a.ts", "node:fs", "only src/host"],
    ["src/deploy/a.ts", "undici", "not a package for this layer"],
    ["src/core/a.ts", "valibot", "not a package for this layer"],
    ["src/client/a.ts", "@aws-sdk/credential-provider-node", "not a package"],
    ["src/host/a.ts", "../app/b.ts", "downward"],
    ["mod.ts", "./src/host/fetch.ts", "downward"],
  ])("sees that %s must not import %s", (file, specifier, rule) => {
    expect(broken(file, specifier).join()).toContain(rule);
  });

  test.each([
    ["src/registry/a.ts", "./b.ts"],
    ["src/registry/a.ts", "../core/b.ts"],
    ["src/core/a.ts", "semver/functions/parse.js"],
    ["src/host/a.ts", "node:fs"],
    ["cli.ts", "./src/app/run.ts"],
  ])("lets %s import %s", (file, specifier) => {
    expect(broken(file, specifier)).toEqual([]);
  });

  test("finds every way to import, types included, and nothing in comments", () => {
    const source = [
      'import "./a.ts";',
      'import { x } from "./b.ts";',
      'import type {\n  Y,\n} from "./c.ts";',
      'export { z } from "./d.ts";',
      'export type * from "./e.ts";',
      'const f = await import("./f.ts");',
      'type G = import("./g.ts").G;',
      'import { type H } from "./h.ts";',
      'import { i, type I } from "./i.ts";',
      ' * import { no } from "./comment.ts";',
      '// import("./comment.ts")',
    ].join("\n");
    const imports = importsOf(source).sort((one, other) =>
      one.specifier < other.specifier ? -1 : 1,
    );
    expect(
      imports.map(({ specifier, isErased }) => `${specifier}${isErased ? " type" : ""}`),
    ).toEqual([
      "./a.ts",
      "./b.ts",
      "./c.ts type",
      "./d.ts",
      "./e.ts type",
      "./f.ts",
      "./g.ts",
      "./h.ts",
      "./i.ts",
    ]);
  });

  test("finds a cycle, but not one of types", () => {
    const module = (file: string, target: string, isErased = false): Module => ({
      file: `src/core/${file}.ts`,
      imports: [{ specifier: `./${target}.ts`, isErased }],
    });
    expect(cycles([module("a", "b"), module("b", "c"), module("c", "a")])).toEqual([
      "src/core/a.ts -> src/core/b.ts -> src/core/c.ts -> src/core/a.ts",
    ]);
    expect(cycles([module("a", "b"), module("b", "a", true)])).toEqual([]);
  });
});
