// Builds dist/: the library as one module for each source file, with types, and the command as a
// bundle that contains its packages, except for the optional ones.
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build, transform } from "esbuild";
import { licensesOf } from "./licenses.mjs";
import { stamp } from "./stamp.mjs";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const DIST = join(ROOT, "dist");
const manifest = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
/** The modules that `exports` names, as paths without an ending. */
const entries = Object.values(manifest.exports)
  .filter((target) => target.default !== undefined)
  .map((target) => target.default.replace(/^\.\/dist\/|\.js$/g, ""));
/** The library imports these on demand, and uses little of them: they are files of dewy, too. */
const VENDORED = ["undici", "@noble/hashes/blake2", "@noble/hashes/sha2", "@smithy/core/config"];

rmSync(DIST, { recursive: true, force: true });
compileLibrary();
const { metafile, outputFiles } = await bundleCommand();
const modules = readdirSync(DIST, { recursive: true }).filter((file) => file.endsWith(".js"));
for (const module of modules) await finishModule(join(DIST, module));
for (const file of outputFiles) write(file.path, withRequire(file.text));
for (const entry of entries) await writeCommonJs(entry);
write(join(DIST, "contents.json"), JSON.stringify(contentsOf(metafile), undefined, 1));
write(join(DIST, "THIRD_PARTY_LICENSES"), licensesOf(ROOT, Object.keys(metafile.inputs)));

function compileLibrary() {
  const config = join(ROOT, "tsconfig.entries.json");
  const files = entries.map((entry) => `${entry}.ts`);
  write(config, JSON.stringify({ extends: "./tsconfig.build.json", include: [], files }));
  try {
    const tsc = join(ROOT, "node_modules", ".bin", "tsc");
    execFileSync(tsc, ["-p", config], { cwd: ROOT, stdio: "inherit" });
  } finally {
    rmSync(config);
  }
}

function bundleCommand() {
  return build({
    absWorkingDir: ROOT,
    entryPoints: [
      { in: "cli.ts", out: "cli" },
      ...VENDORED.map((name) => ({ in: name, out: vendored(name) })),
    ],
    outdir: DIST,
    chunkNames: "chunks/[name]-[hash]",
    external: Object.keys(manifest.peerDependencies),
    bundle: true,
    splitting: true,
    minify: true,
    format: "esm",
    platform: "node",
    target: "node20",
    legalComments: "none",
    metafile: true,
    write: false,
    plugins: [stamp()],
  });
}

function vendored(name) {
  return `vendor/${name.replace(/^@/, "").replaceAll("/", "_")}`;
}

/** Packages in CommonJS need `require`, which ES modules do not have. */
function withRequire(text) {
  if (!text.includes("typeof require")) return text;
  return `import{createRequire as nodeRequire}from"node:module";const require=nodeRequire(import.meta.url);${text}`;
}

/** Removes comments, which the types have too, and points imports to the packages that are files of dewy. */
async function finishModule(file) {
  const { code } = await transform(readFileSync(file, "utf8"), { legalComments: "none" });
  const linked = code.replaceAll(/\bimport\("([^"]+)"\)/g, (found, name) =>
    VENDORED.includes(name)
      ? `import("${relative(dirname(file), join(DIST, `${vendored(name)}.js`))}")`
      : found,
  );
  write(file, linked);
}

/**
 * Makes an entry that `require()` loads, from Node 20.19 on, and whose types TypeScript accepts in
 * CommonJS. Its values are those of the ES module.
 */
async function writeCommonJs(entry) {
  const module = JSON.stringify(`./${basename(entry)}.js`);
  const values = await import(pathToFileURL(join(DIST, `${entry}.js`)));
  const types = Object.entries(values).flatMap(([name, value]) => [
    `export declare const ${name}: typeof all.${name};`,
    ...(/^class\b/.test(String(value)) ? [`export type ${name} = all.${name};`] : []),
  ]);
  const from = `from ${module} with { "resolution-mode": "import" };`;
  write(join(DIST, `${entry}.cjs`), `module.exports = require(${module});\n`);
  write(
    join(DIST, `${entry}.d.cts`),
    [`import type * as all ${from}`, `export type * ${from}`, ...types, ""].join("\n"),
  );
}

/** Returns the source files in each file of the bundle, for the tests. */
function contentsOf({ outputs }) {
  const named = (path) => path.replace(/^.*\/(?=node_modules\/)/, "");
  return Object.fromEntries(
    Object.entries(outputs).map(([path, { inputs }]) => [path, Object.keys(inputs).map(named)]),
  );
}

function write(path, text) {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}
