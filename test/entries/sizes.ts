import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import type * as library from "../../mod.ts";
import { ROOT } from "../runtime/runtimes.ts";
import type { EdgeCall } from "./calls.ts";

/** The sizes of one entry in bytes, minified and compressed, as a bundler that splits code makes them. */
export interface EntrySize {
  /** What an import loads. */
  import: number;
  /** The same, and what the calls loaded in addition. */
  called: number;
  /** All of it, on demand or not. */
  everything: number;
  /** What the calls did not need, by the module that it begins with. */
  onDemand: readonly (readonly [string, number])[];
}

const LOADED = Symbol.for("dewy.test.loaded");

/** Bundles an entry, runs the calls with it, and measures the files that this loads. */
export async function measureEntry(module: string, calls: readonly EdgeCall[]): Promise<EntrySize> {
  const { outputFiles, metafile } = await build({
    stdin: {
      contents: `export * from ${JSON.stringify(module)};`,
      resolveDir: ROOT,
      loader: "ts",
    },
    outdir: "/out",
    outExtension: { ".js": ".mjs" },
    write: false,
    metafile: true,
    bundle: true,
    splitting: true,
    minify: true,
    format: "esm",
    platform: "neutral",
    target: "es2022",
    mainFields: ["module", "main"],
    conditions: ["workerd", "worker", "browser", "import"],
    legalComments: "none",
    logLevel: "silent",
  });
  const sizes = new Map(
    outputFiles.map(({ path, contents }) => [
      basename(path),
      gzipSync(contents, { level: 9 }).length,
    ]),
  );
  const total = (files: Iterable<string>): number =>
    [...files].reduce((sum, file) => sum + (sizes.get(file) ?? 0), 0);
  const { imported, called } = await loadedFiles(outputFiles, calls);
  const onDemand = Object.entries(metafile.outputs)
    .filter(([path]) => !called.has(basename(path)))
    .map(([path, { entryPoint, inputs }]): [string, number] => [
      entryPoint ?? `shared: ${largest(inputs)}`,
      total([basename(path)]),
    ]);
  return {
    import: total(imported),
    called: total(called),
    everything: total(sizes.keys()),
    onDemand: onDemand.sort(([, a], [, b]) => b - a),
  };
}

function largest(inputs: Readonly<Record<string, { bytesInOutput: number }>>): string {
  const [first] = Object.entries(inputs).sort(([, a], [, b]) => b.bytesInOutput - a.bytesInOutput);
  return first?.[0].replace(/^.*node_modules\//, "") ?? "";
}

/** The files that an import loads, and those that are loaded after the calls. Each file says so itself. */
async function loadedFiles(
  files: readonly { path: string; text: string }[],
  calls: readonly EdgeCall[],
): Promise<{ imported: ReadonlySet<string>; called: ReadonlySet<string> }> {
  const directory = await mkdtemp(join(tmpdir(), "dewy-sizes-"));
  const loaded = new Set<string>();
  Object.assign(globalThis, { [LOADED]: loaded });
  try {
    for (const { path, text } of files) {
      const name = basename(path);
      const note = `globalThis[Symbol.for("dewy.test.loaded")].add(${JSON.stringify(name)});`;
      await writeFile(join(directory, name), `${note}${text}`);
    }
    const { href } = pathToFileURL(join(directory, "stdin.mjs"));
    const entry = (await import(/* @vite-ignore */ href)) as typeof library;
    const imported = new Set(loaded);
    for (const call of calls) await call(entry);
    return { imported, called: new Set(loaded) };
  } finally {
    Reflect.deleteProperty(globalThis, LOADED);
    await rm(directory, { recursive: true });
  }
}
