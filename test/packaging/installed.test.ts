import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { fakeS3 } from "../fakes/s3.ts";
import { serveFetch } from "../fakes/serve.ts";
import { ROOT, run } from "../runtime/runtimes.ts";
import { manifest, type Packed, pack, TIMEOUT_MS } from "./packed.ts";

const BIN = join(ROOT, "node_modules", ".bin");
const ENTRIES = Object.keys(manifest.exports)
  .filter((name) => name !== "./package.json")
  .map((name) => name.replace(".", "dewy"));
/** Without optional packages, by `du --apparent-size`. */
const LIMIT_KB = 10_000;

let packed: Packed;
let project: string;
beforeAll(async () => {
  packed = await pack();
  project = packed.directory("project");
  writeFileSync(join(project, "package.json"), '{ "name": "consumer", "private": true }');
  await packed.client(project, "npm", "install", "--no-audit", "--no-fund", packed.tarball);
}, TIMEOUT_MS);
afterAll(() => packed.close());

const dewy = (): string => join(project, "node_modules", ".bin", "dewy");

test("dewy and its packages take at most 10 MB", async () => {
  const { stdout } = await run("node", [join(ROOT, ".ci", "installed_size.mjs"), project]);
  console.log(stdout);
  const [, kilobytes] = /(\d+) kB {2}total/.exec(stdout) ?? [];
  expect(Number(kilobytes)).toBeLessThanOrEqual(LIMIT_KB);
});

test("the command checks a registry of files, and one over HTTP", async () => {
  const s3 = fakeS3("bucket", Date.now);
  s3.store("app/v1.0.0/app_linux_amd64", "app");
  const server = await serveFetch(s3.handler);
  onTestFinished(() => server.close());
  const env = { AWS_ACCESS_KEY_ID: "key", AWS_SECRET_ACCESS_KEY: "secret" };
  for (const url of [packed.url, `s3://region/bucket/app?endpoint=${server.url}`]) {
    const { stdout, stderr } = await run(dewy(), ["check", url], { cwd: project, env });
    expect(stdout, stderr).toMatch(/^version\s+v1\.0\.0$/m);
  }
});

test("the command deploys a .zip, which it reads with a CommonJS package in its bundle", async () => {
  const [registry, app] = [packed.directory("zips/v1.0.0"), packed.directory("unzipped")];
  writeFileSync(join(registry, "index.html"), "hello\n");
  await run("zip", ["-q", "-m", "app.zip", "index.html"], { cwd: registry });
  const url = `file://${packed.directory("zips")}?artifact=app.zip`;
  const args = ["assets", "--registry", url, "--directory", app, "--once"];
  const { code, stderr } = await run(dewy(), args, { cwd: project });
  expect(code, stderr).toBe(0);
  expect(readFileSync(join(app, "current", "index.html"), "utf8")).toBe("hello\n");
});

test("the library imports nothing that its package does not name", () => {
  const named = [manifest.dependencies, manifest.peerDependencies].flatMap(Object.keys);
  const dist = join(project, "node_modules", "dewy", "dist");
  const modules = readdirSync(dist, { recursive: true, encoding: "utf8" }).filter((file) =>
    /^(mod|src\/.*)\.js$/.test(file),
  );
  const imported = modules.flatMap((file) => {
    const text = readFileSync(join(dist, file), "utf8");
    return [...text.matchAll(/\b(?:from|import)\s*\(?\s*"(@[^/"]+\/[^/"]+|[^./@"][^/"]*)/g)];
  });
  const packages = new Set(imported.map(([, name = ""]) => name));
  expect(packages).toContain("jose");
  expect([...packages].filter((name) => !/^node:/.test(name) && !named.includes(name))).toEqual([]);
});

test(
  "the command says how to install the AWS SDK, and uses it afterwards",
  async () => {
    const env = { HOME: project, AWS_PROFILE: "prod" };
    const check = () => run(dewy(), ["check", "s3://eu-west-1/bucket/app"], { cwd: project, env });
    const { code, stderr } = await check();
    const [, install = ""] = /install it next to dewy: (npm install \S+),/.exec(stderr) ?? [];
    expect({ code, install }, stderr).toEqual({
      code: 2,
      install: expect.stringContaining("@aws-sdk/credential-provider-node@"),
    });
    const [program = "", ...args] = install.split(" ");
    await packed.client(project, program, ...args);
    expect((await check()).stderr).toContain("there is no such profile");
  },
  TIMEOUT_MS,
);

describe("every entry", () => {
  test("is the same module for import and require", async () => {
    const script = `
      const { deepEqual } = require("node:assert/strict");
      const names = ${JSON.stringify(ENTRIES)};
      (async () => {
        for (const name of names) {
          const imported = await import(name);
          const required = require(name);
          deepEqual(Object.keys(required).sort(), Object.keys(imported).sort());
          for (const key of Object.keys(imported)) if (required[key] !== imported[key]) throw new Error(key);
        }
        console.log(names.length);
      })();`;
    writeFileSync(join(project, "entries.cjs"), script);
    const { stdout, stderr } = await run(process.execPath, ["entries.cjs"], { cwd: project });
    expect({ stdout, stderr }).toEqual({ stdout: `${ENTRIES.length}\n`, stderr: "" });
  });

  test.each([
    ["node16", "node16"],
    ["nodenext", "nodenext"],
    ["preserve", "bundler"],
  ])(
    "has types for ES modules and CommonJS, with module %s and %s resolution",
    async (module, moduleResolution) => {
      const imports = ENTRIES.map((name, index) => `import * as e${index} from "${name}";`);
      const source = `${imports.join("\n")}
      import { DewyError, type Resolution, latest, parseVersion } from "dewy";
      export const answer = async (): Promise<Resolution> => latest("ghr://a/b", { token: "t" });
      export const isOurs = (error: unknown): error is DewyError => error instanceof DewyError;
      // Without the package's types, a tag would be of any type.
      type Tag = Parameters<typeof parseVersion>[0];
      export const isTyped: unknown extends Tag ? never : true = true;
      export const entries = [${ENTRIES.map((_, index) => `e${index}`).join()}];`;
      writeFileSync(join(project, "consumer.mts"), source);
      writeFileSync(join(project, "consumer.cts"), source);
      const compilerOptions = {
        ...{ module, moduleResolution, target: "es2022", lib: ["es2023", "dom", "dom.iterable"] },
        ...{ strict: true, noEmit: true, types: [], skipLibCheck: module !== "node16" },
      };
      const files = ["consumer.mts", "consumer.cts"];
      writeFileSync(join(project, "tsconfig.json"), JSON.stringify({ compilerOptions, files }));
      const { code, stdout } = await run(join(BIN, "tsc"), ["-p", "."], { cwd: project });
      expect({ code, stdout }).toEqual({ code: 0, stdout: "" });
    },
  );
});

describe("the package", () => {
  const tool = (name: string): string =>
    join(ROOT, ".ci", "packaging", "node_modules", ".bin", name);

  test("is correct according to publint", async () => {
    const { code, stdout } = await run(tool("publint"), [packed.tarball, "--strict"]);
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringContaining("All good!") });
  });

  test("has types that resolve like its modules, except for Node 10", async () => {
    const { code, stdout } = await run(tool("attw"), [packed.tarball, "--profile", "node16"]);
    expect({ code, stdout }).toMatchObject({ code: 0 });
  });
});
