import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { VERSION } from "../src/cli/version.ts";
import { type Output, ROOT, run } from "./runtime/runtimes.ts";

const manifest = readJson("package.json");
const deno = readJson("deno.json");
const BIN = join(ROOT, "node_modules", ".bin");

function readJson(path: string): Record<string, Record<string, string>> & { version: string } {
  return JSON.parse(readFileSync(join(ROOT, path), "utf8"));
}

describe("the packed npm package", { timeout: 300_000 }, () => {
  let project: string;
  let files: string[];

  beforeAll(async () => {
    project = mkdtempSync(join(tmpdir(), "dewy-consumer-"));
    files = await installPacked(project);
  });
  afterAll(() => rmSync(project, { recursive: true }));

  const inProject = (program: string, ...args: string[]): Promise<Output> =>
    run(program, args, { cwd: project });

  test("contains the build, its types, documentation and examples, and nothing else", () => {
    const built = /^dist\/((mod|cli|src\/.+)\.(c?js|d\.c?ts)|(chunks|vendor)\/[^/]+\.js)$/;
    const pages = /^(docs|examples|proto)\/|^[A-Z]+\.md$/;
    const other = files.filter((file) => !built.test(file) && !pages.test(file));
    expect(other.sort()).toEqual(["LICENSE", "dist/THIRD_PARTY_LICENSES", "package.json"]);
    expect(files).toEqual(
      expect.arrayContaining([
        "dist/mod.js",
        "dist/mod.d.ts",
        "dist/cli.js",
        "dist/src/host/mod.js",
      ]),
    );
  });

  test("contains what its documentation links to", () => {
    const pages = files.filter((file) => file.endsWith(".md"));
    const dead = pages.flatMap((page) =>
      linksOf(page)
        .filter((target) => !/^(src|test)(\/|$)/.test(target)) // These stay in the repository.
        .filter((target) => !files.some((file) => file === target || file.startsWith(`${target}/`)))
        .map((target) => `${page}: ${target}`),
    );
    expect(pages).toContain("README.md");
    expect(dead).toEqual([]);
  });

  test.each([
    ["node", [process.execPath, "node_modules/dewy/dist/cli.js"]],
    ["npx", ["npx", "--no", "--", "dewy"]],
    ["bunx", [join(BIN, "bunx"), "--no-install", "dewy"]],
    ["bun", [join(BIN, "bun"), "node_modules/dewy/dist/cli.js"]],
  ] as const)("runs by %s", async (_, [program, ...args]) => {
    const { code, stdout, stderr } = await inProject(program, ...args, "--version");
    expect({ code, stdout }, stderr).toEqual({ code: 0, stdout: expect.stringContaining(VERSION) });
  });

  test("exports the library to JavaScript, for the edge and for a host", async () => {
    writeFileSync(
      join(project, "consumer.mjs"),
      `import { latestTag } from "dewy";
       import { readRegistryQuery } from "dewy/driver";
       import { hostPlatform, hostRegistries } from "dewy/host";
       import { openArtifact } from "dewy/verify";
       if (typeof openArtifact !== "function") throw new Error("dewy/verify is incomplete");
       if (typeof readRegistryQuery !== "function") throw new Error("dewy/driver is incomplete");
       console.log(latestTag(["v1.0.0", "v1.1.0"]), hostPlatform().os, Object.keys(hostRegistries));`,
    );
    const { stdout, stderr } = await inProject(process.execPath, "consumer.mjs");
    expect(stderr).toBe("");
    expect(stdout).toMatch(/^v1\.1\.0 \w+ \[.*'ghr'.*'file'.*\]/s);
  });
});

function linksOf(page: string): string[] {
  const text = readFileSync(join(ROOT, page), "utf8");
  return [...text.matchAll(/\]\((?![a-z]+:|#)([^)#\s]+)[^)]*\)/g)].map(([, target = ""]) =>
    join(dirname(page), target).replace(/\/$/, ""),
  );
}

/**
 * Packs the built project and lays it out as an installation that shares the project's
 * dependencies.
 */
async function installPacked(project: string): Promise<string[]> {
  const packed = await run("npm", [
    "pack",
    "--ignore-scripts",
    "--json",
    "--pack-destination",
    project,
  ]);
  if (packed.code !== 0) throw new Error(packed.stderr);
  const { filename, files } = firstOf(JSON.parse(packed.stdout));
  const modules = join(project, "node_modules");
  mkdirSync(join(modules, "dewy"), { recursive: true });
  mkdirSync(join(modules, ".bin"));
  await run("tar", ["xzf", join(project, filename), "-C", join(modules, "dewy"), "--strip=1"]);
  for (const name of readdirSync(join(ROOT, "node_modules"))) {
    if (!name.startsWith(".")) symlinkSync(join(ROOT, "node_modules", name), join(modules, name));
  }
  chmodSync(join(modules, "dewy", "dist", "cli.js"), 0o755); // As npm does for each `bin`.
  symlinkSync("../dewy/dist/cli.js", join(modules, ".bin", "dewy"));
  writeFileSync(join(project, "package.json"), '{ "name": "consumer", "private": true }');
  return files.map(({ path }) => path);
}

interface Packed {
  filename: string;
  files: { path: string }[];
}

/** npm 11 and older answer with a list, newer ones with an object by name. */
function firstOf(answer: Packed[] | Record<string, Packed>): Packed {
  const [first] = Object.values(answer);
  if (first === undefined) throw new Error("npm packed nothing");
  return first;
}

describe("npm's and Deno's manifests", () => {
  test("state the version that dewy prints", () => {
    expect([manifest.version, deno.version]).toEqual([VERSION, VERSION]);
  });

  test("export the same subpaths, from the same modules", () => {
    const built = Object.entries(manifest.exports ?? {})
      .filter(([name]) => name !== "./package.json")
      .map(([name, target]) => [name, (target as unknown as { default: string }).default]);
    const sources = Object.entries(deno.exports ?? {})
      .filter(([name]) => name !== "./cli")
      .map(([name, file]) => [name, file.replace("./", "./dist/").replace(/\.ts$/, ".js")]);
    expect(built).toEqual(sources);
  });

  test("publish the same documentation", () => {
    const documents = ["docs", "examples", "proto", "*.md"];
    expect(manifest.files).toEqual(expect.arrayContaining(documents));
    expect(deno.publish?.include).toEqual(expect.arrayContaining(documents));
  });

  test("pin the same dependencies", () => {
    const pinned = Object.entries(deno.imports ?? {})
      .filter(([, target]) => target.startsWith("npm:"))
      .map(([, target]) => target.replace(/^npm:\/?|\/$/g, ""));
    const versions = { ...manifest.devDependencies, ...manifest.dependencies };
    const wanted = Object.entries(versions).map(([name, version]) => `${name}@${version}`);
    expect(pinned.filter((pin) => !wanted.includes(pin))).toEqual([]);
    const library = Object.entries(manifest.dependencies ?? {});
    expect(pinned).toEqual(expect.arrayContaining(library.map(([n, v]) => `${n}@${v}`)));
  });

  test("list as dependencies what the entries import, and nothing else", async () => {
    const targets = Object.values(manifest.exports ?? {}) as unknown as { default?: string }[];
    const { metafile } = await build({
      absWorkingDir: ROOT,
      entryPoints: targets.flatMap(({ default: file }) => file ?? []),
      outdir: "out",
      bundle: true,
      format: "esm",
      platform: "node",
      packages: "external",
      metafile: true,
      write: false,
    });
    const imported = Object.values(metafile.inputs).flatMap(({ imports }) =>
      imports.flatMap(({ path, external }) => (external && !path.startsWith("node:") ? path : [])),
    );
    const packages = imported.flatMap((path) => /^(?:@[^/]+\/)?[^/]+/.exec(path) ?? []);
    const optional = Object.keys(manifest.peerDependencies ?? {});
    expect([...new Set(packages)].filter((name) => !optional.includes(name)).sort()).toEqual(
      Object.keys(manifest.dependencies ?? {}),
    );
  });

  // Without it `deno run` rewrites deno.lock of a fresh clone, and `--frozen` refuses to run.
  test("match Deno's lock file, which npm run lock:deno updates", () => {
    const { workspace } = JSON.parse(readFileSync(join(ROOT, "deno.lock"), "utf8"));
    const wanted = Object.entries({ ...manifest.dependencies, ...manifest.devDependencies });
    expect(workspace.packageJson.dependencies).toEqual(
      wanted.map(([name, version]) => `npm:${name}@${version}`).sort(),
    );
  });

  test.each(["package-lock.json", "deno.lock", ".npmrc", "deno.json", "package.json"])(
    "name no package registry: %s",
    (file) => {
      expect(readFileSync(join(ROOT, file), "utf8")).not.toMatch(/registry\.|\/\/[\w.-]+\/.*\.tgz/);
    },
  );
});
