import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

const ROOT = fileURLToPath(new URL("..", import.meta.url));

/**
 * The map of src/: each folder, lowest first, with the folders it may import. A folder and the folders inside it
 * count as one thing and may import each other.
 */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  core: [],
  version: ["core"],
  platform: ["core"],
  resolve: ["core", "version", "platform"],
  http: ["core"],
  auth: ["core", "http"],
  "verify/checksums": ["core"],
  "verify/index_file": ["core", "version"],
  "verify/minisign": ["core"],
  "verify/ssh": ["core"],
  "verify/sigstore_bundle": ["core"],
  "verify/sigstore_key": ["core", "verify/sigstore_bundle"],
  verify: ["core"],
  "auth/google": ["core", "http"],
  gen: [],
  deploy: ["core", "version", "platform", "resolve", "verify"],
  gateway: ["core", "platform", "gen"],
  registries: ["core", "version", "platform", "resolve", "http", "auth"],
  "registries/github": ["core", "version", "resolve", "http", "auth"],
  "registries/s3": ["core", "http", "auth"],
  "registries/gcs": ["core", "http", "auth/google"],
  "registries/oci": ["core", "version", "platform", "resolve", "http"],
  "registries/oci/auth": ["core", "http", "auth", "auth/google"],
  "registries/answered": ["core", "version", "resolve"],
  "registries/grpc": ["core", "platform", "http", "gen", "registries/answered"],
  "registries/https": ["core", "platform", "http", "registries/answered"],
  handler: ["core", "platform", "http", "gateway", "registries", "registries/https"],
  "registries/verified": ["core", "verify"],
  entries: [
    "core",
    "version",
    "platform",
    "registries",
    "registries/github",
    "registries/s3",
    "registries/gcs",
    "registries/oci",
    "registries/grpc",
  ],
  "host/files": ["core", "deploy"],
  "verify/openpgp": ["core"],
  "verify/sigstore": ["core", "verify/sigstore_bundle", "host/files"],
  "verify/github": ["core", "verify", "verify/sigstore_bundle", "verify/sigstore"],
  "host/process": ["core", "deploy", "host/files"],
  "host/credentials": ["core", "registries", "host/process"],
  "host/net": ["core", "registries", "registries/grpc", "host/files"],
  "host/download": ["core", "host/files", "host/process"],
  "host/archive": ["core", "platform", "host/process", "host/download"],
  "host/sockets": ["core", "host/process"],
  "host/proxy": ["core", "http", "host/files", "host/sockets"],
  "host/rpc_server": ["core", "gateway", "gen", "host/files"],
  "registries/file": ["core", "resolve", "host/files"],
  cache: ["core", "version", "registries"],
  "cache/file": ["core", "host/files", "registries"],
  "cache/s3": ["core", "http", "registries", "registries/s3"],
  "cache/gcs": ["core", "registries", "registries/gcs", "registries/s3", "http"],
  fleet: ["core", "cache", "deploy"],
  "fleet/check": ["core", "http", "host/process"],
  host: ["core", "platform", "registries", "registries/file", "gateway"],
  journal: ["core", "host/files"],
  control: ["core", "host/files", "host/process", "host/sockets"],
  notifiers: ["core", "http", "host/files", "journal", "control"],
  "notifiers/slack": ["core", "http"],
  "notifiers/slack_webhook": ["notifiers/slack"],
  "notifiers/discord": ["core"],
  "notifiers/teams": ["core"],
  "notifiers/ntfy": ["core"],
  "notifiers/https": ["core"],
  "notifiers/mail": ["core", "http", "host/net"],
  "notifiers/exec": ["core", "host/process"],
  webhook: ["core", "host/files", "host/sockets"],
  telemetry: ["core", "http", "host/net", "host/proxy", "control"],
  "admin/page": ["core", "control", "journal"],
  admin: ["core", "host/files", "host/rpc_server", "host/sockets", "control", "journal"],
  deployers: [
    "core",
    "cache",
    "platform",
    "verify",
    "deploy",
    "host/files",
    "host/process",
    "host/download",
    "host/archive",
  ],
  "cli/flags": ["core", "host/sockets"],
  agent: [
    "core",
    "cache",
    "fleet",
    "fleet/check",
    "verify",
    "verify/sigstore",
    "registries",
    "registries/github",
    "registries/oci",
    "notifiers",
    "deploy",
    "host",
    "host/files",
    "host/process",
    "host/proxy",
    "host/download",
    "deployers",
    "control",
    "journal",
    "webhook",
    "telemetry",
    "admin",
    "cli/flags",
  ],
  "server/generation": ["core", "host/files", "host/process", "host/sockets"],
  "server/supervisor": [
    "core",
    "deploy",
    "deployers",
    "host/files",
    "host/process",
    "host/sockets",
    "host/proxy",
    "server/generation",
  ],
  server: [
    "core",
    "deploy",
    "deployers",
    "host/files",
    "host/process",
    "host/sockets",
    "host/proxy",
    "cli/flags",
    "agent",
  ],
  "container/options": ["core", "host/sockets"],
  "container/engine": [
    "core",
    "http",
    "registries/oci",
    "registries/oci/auth",
    "host/files",
    "host/process",
  ],
  "container/replicas": [
    "core",
    "verify",
    "deploy",
    "deployers",
    "registries/oci",
    "host/files",
    "host/proxy",
    "container/options",
    "container/engine",
  ],
  "container/admin": [
    "core",
    "control",
    "host/net",
    "agent",
    "container/options",
    "container/engine",
  ],
  container: [
    "core",
    "verify",
    "control",
    "deploy",
    "registries/oci",
    "deployers",
    "host/files",
    "host/process",
    "host/sockets",
    "host/proxy",
    "cli/flags",
    "agent",
  ],
  "cli/commands": [
    "core",
    "cache",
    "platform",
    "deploy",
    "gateway",
    "verify",
    "verify/index_file",
    "host/files",
    "host/download",
    "host/rpc_server",
    "deployers",
    "cli/flags",
    "agent",
  ],
  "cli/upgrade": [
    "core",
    "version",
    "control",
    "host/files",
    "host/process",
    "host/archive",
    "agent",
    "cli/flags",
    "cli/commands",
  ],
  "cli/steer": [
    "core",
    "control",
    "deploy",
    "host/files",
    "host/process",
    "journal",
    "deployers",
    "cli/flags",
    "agent",
    "cli/commands",
  ],
  "cli/log": ["core", "host/process", "cli/flags"],
  "cli/fleet": ["core", "cache", "fleet", "cli/flags", "agent", "cli/commands"],
  cli: [
    "core",
    "cache",
    "admin",
    "registries",
    "notifiers",
    "host",
    "host/process",
    "agent",
    "server",
    "container",
    "container/admin",
    "admin",
  ],
};

const FOLDERS = Object.keys(MAY_IMPORT);

/** The first folder that may import `node:`; everything before it runs on the edge. */
const FIRST_HOST_FOLDER = FOLDERS.indexOf("host/files");

/** What code below the host may use: packages that need nothing but web standards. */
const EDGE_PACKAGES = new Set([
  "aws4fetch",
  "@bufbuild/protobuf",
  "@connectrpc/connect",
  "@connectrpc/connect-web",
  "@noble/hashes",
  "jose",
  "semver",
  "valibot",
]);

interface Module {
  /** The path from the project's root. */
  file: string;
  /** What it imports, types included. */
  imports: readonly Import[];
}

interface Import {
  /** As written. */
  specifier: string;
}

const folderOf = (file: string): string => dirname(file).replace(/^src\//, "");

const isHost = (folder: string): boolean => FOLDERS.indexOf(folder) >= FIRST_HOST_FOLDER;

/** Whether one folder is inside the other. */
const isNested = (one: string, other: string): boolean =>
  one.startsWith(`${other}/`) || other.startsWith(`${one}/`);

/** The broken rule of one import, as a sentence; empty when it is allowed. */
function broken(file: string, specifier: string): string[] {
  if (file === "cli.ts") return [];
  const from = folderOf(file);
  const onEdge = file === "mod.ts" || !isHost(from);
  if (file !== "mod.ts" && !FOLDERS.includes(from)) {
    return [`${file}: the folder ${from} is not in the table; add it`];
  }
  if (!specifier.startsWith(".")) {
    if (!onEdge) return [];
    if (/^(node:|bun:|bun$)/.test(specifier)) {
      return [`${file} imports ${specifier}: only src/host and above may`];
    }
    const name = packageName(specifier);
    return EDGE_PACKAGES.has(name) && !(from === "core")
      ? []
      : [`${file} imports ${name}: not a package for this folder`];
  }
  const target = targetOf(file, specifier);
  const to = folderOf(target);
  if (file === "mod.ts") {
    return isHost(to) ? [`mod.ts imports ${target}, which runs on a host only`] : [];
  }
  if (to === from || isNested(from, to) || MAY_IMPORT[from]?.includes(to)) return [];
  return [`${file} imports ${target}: ${from} must not import ${to}`];
}

function packageName(specifier: string): string {
  return specifier.split("/", specifier.startsWith("@") ? 2 : 1).join("/");
}

function targetOf(file: string, specifier: string): string {
  return normalize(join(dirname(file), specifier));
}

/** Import cycles, those of types included, each as the way round. */
function cycles(modules: readonly Module[]): string[] {
  const imported = new Map(
    modules.map(({ file, imports }) => [
      file,
      imports
        .filter(({ specifier }) => specifier.startsWith("."))
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
  return [...statements, ...bare, ...inline].map(([, , specifier = ""]) => ({
    specifier,
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

describe("the map of src/", () => {
  const modules = modulesOfProject();

  test("allows every import", () => {
    const problems = modules.flatMap(({ file, imports }) =>
      imports.flatMap(({ specifier }) => broken(file, specifier)),
    );
    expect(problems).toEqual([]);
  });

  test("lists only folders that exist and imports that happen", () => {
    const used = new Set(
      modules.flatMap(({ file, imports }) =>
        imports
          .filter(({ specifier }) => specifier.startsWith("."))
          .map(({ specifier }) => `${folderOf(file)} > ${folderOf(targetOf(file, specifier))}`),
      ),
    );
    const unused = Object.entries(MAY_IMPORT).flatMap(([folder, targets]) =>
      targets.map((target) => `${folder} > ${target}`).filter((pair) => !used.has(pair)),
    );
    expect(unused).toEqual([]);
    expect(
      FOLDERS.filter((folder) => !modules.some(({ file }) => folderOf(file) === folder)),
    ).toEqual([]);
  });

  test("lists a folder below every folder that imports it", () => {
    const upward = Object.entries(MAY_IMPORT).flatMap(([folder, targets]) =>
      targets.filter((target) => FOLDERS.indexOf(target) >= FOLDERS.indexOf(folder)),
    );
    expect(upward).toEqual([]);
  });

  test("has no import cycle, not even of types", () => {
    // Files cut in two that go together again; an entry goes when its halves are joined.
    expect(cycles(modules).sort()).toEqual([
      "src/resolve/resolve.ts -> src/resolve/explain_tags.ts -> src/resolve/resolve.ts",
      "src/resolve/resolve.ts -> src/resolve/message.ts -> src/resolve/resolve.ts",
    ]);
  });

  test("type-checks everything below the host without host types", () => {
    const { include } = JSON.parse(readFileSync(join(ROOT, "tsconfig.edge.json"), "utf8"));
    const folders = FOLDERS.filter((folder) => !isHost(folder)).map(
      (folder) => `src/${folder.split("/")[0]}`,
    );
    expect(new Set(include)).toEqual(new Set(folders));
  });
});

describe("this test", () => {
  test.each([
    ["src/core/a.ts", "../http/b.ts", "core must not import http"],
    ["src/registries/a.ts", "../notifiers/b.ts", "must not import notifiers"],
    ["src/registries/s3/a.ts", "../oci/b.ts", "must not import registries/oci"],
    ["src/registries/a.ts", "node:fs", "only src/host"],
    ["src/deploy/a.ts", "undici", "not a package for this folder"],
    ["src/core/a.ts", "valibot", "not a package for this folder"],
    ["src/auth/a.ts", "@aws-sdk/credential-provider-node", "not a package"],
    ["src/host/a.ts", "../cli/b.ts", "host must not import cli"],
    ["src/nowhere/a.ts", "./b.ts", "not in the table"],
    ["mod.ts", "./src/host/net/fetch.ts", "on a host only"],
  ])("sees that %s must not import %s", (file, specifier, rule) => {
    expect(broken(file, specifier).join()).toContain(rule);
  });

  test.each([
    ["src/registries/a.ts", "./b.ts"],
    ["src/registries/a.ts", "../core/b.ts"],
    ["src/registries/s3/a.ts", "../driver.ts"],
    ["src/registries/table.ts", "./s3/driver.ts"],
    ["src/version/a.ts", "semver/functions/parse.js"],
    ["src/host/files/a.ts", "node:fs"],
    ["cli.ts", "./src/cli/run.ts"],
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
    expect(imports.map(({ specifier }) => specifier)).toEqual([
      "./a.ts",
      "./b.ts",
      "./c.ts",
      "./d.ts",
      "./e.ts",
      "./f.ts",
      "./g.ts",
      "./h.ts",
      "./i.ts",
    ]);
  });

  test("finds a cycle", () => {
    const module = (file: string, target: string): Module => ({
      file: `src/core/${file}.ts`,
      imports: [{ specifier: `./${target}.ts` }],
    });
    expect(cycles([module("a", "b"), module("b", "c"), module("c", "a")])).toEqual([
      "src/core/a.ts -> src/core/b.ts -> src/core/c.ts -> src/core/a.ts",
    ]);
  });
});
