import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

export const ROOT: string = fileURLToPath(new URL("../..", import.meta.url));

const BIN = join(ROOT, "node_modules", ".bin");
const CASE_TIMEOUT_MS = 100_000;

/** A runtime that dewy supports. */
export interface Runtime {
  /** Its common name, with the version where several are tested. */
  name: string;
  /** Returns the command line that runs a TypeScript file of the project. */
  command(file: string): Promise<readonly [string, ...string[]]>;
}

const all: readonly Runtime[] = [
  {
    name: `Node ${process.versions.node}`,
    command: async (file) => [process.execPath, await compileForNode(file)],
  },
  {
    name: "Deno",
    command: async (file) => [join(BIN, "deno"), ...DENO_RUN, file],
  },
  { name: "Bun", command: async (file) => [join(BIN, "bun"), file] },
];

/** Node as it runs this test; Deno and Bun from the dev dependencies, which `$DEWY_ONLY_NODE` leaves out. */
export const runtimes: readonly Runtime[] =
  process.env.DEWY_ONLY_NODE === "1" ? all.slice(0, 1) : all;

/** Uses the installed packages, so that no test queries a package registry. */
export const DENO_RUN: readonly string[] = [
  "run",
  "-A",
  "--quiet",
  "--no-lock",
  "--node-modules-dir=manual",
];

export interface Output {
  code: number | string;
  stdout: string;
  stderr: string;
}

/**
 * Runs a TypeScript file of the project on a runtime, in an environment without proxies and private
 * CAs. `file` is its path from the project's root.
 */
export async function runCase(
  runtime: Runtime,
  file: string,
  env: Readonly<Record<string, string>> = {},
): Promise<Output> {
  const [program, ...args] = await runtime.command(join(ROOT, file));
  return run(program, args, { env });
}

/**
 * Runs a program until it exits, for at most a minute and in the project's root by default.
 * Resolves with the output, whatever the exit code.
 */
export function run(
  program: string,
  args: readonly string[],
  options: { env?: Readonly<Record<string, string>>; cwd?: string; timeoutMs?: number } = {},
): Promise<Output> {
  return new Promise((resolve) => {
    execFile(
      program,
      [...args],
      {
        cwd: options.cwd ?? ROOT,
        env: { ...neutralEnvironment(), ...options.env },
        timeout: options.timeoutMs ?? CASE_TIMEOUT_MS,
        killSignal: "SIGKILL",
        maxBuffer: 16 * 1024 * 1024,
      },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : (error.code ?? error.signal ?? 1);
        resolve({ code, stdout, stderr });
      },
    );
  });
}

/**
 * The environment without variables that change how the network is reached, and with a directory for
 * the runtime files of dewy, so that no test touches instances of this machine.
 */
export function neutralEnvironment(): NodeJS.ProcessEnv {
  const foreign =
    /^(SSL_CERT_|NODE_EXTRA_CA_CERTS$|NODE_OPTIONS$|DENO_|AWS_|GITHUB_|GH_TOKEN$|.*_proxy$)/i;
  const kept = Object.entries(process.env).filter(([name]) => !foreign.test(name));
  // Once a day Deno checks for a newer version, through the environment's proxies.
  return {
    ...Object.fromEntries(kept),
    NO_COLOR: "1",
    DENO_NO_UPDATE_CHECK: "1",
    DEWY_RUNTIME_DIR: runtimeDirectory(),
  };
}

let madeDirectory: string | undefined;

function runtimeDirectory(): string {
  if (madeDirectory !== undefined) return madeDirectory;
  const made = mkdtempSync(join(tmpdir(), "dewy-run-"));
  process.once("exit", () => rmSync(made, { recursive: true, force: true }));
  madeDirectory = made;
  return made;
}

const compiled = new Map<string, Promise<string>>();

/**
 * Bundles the file with the project's own modules, since Node 20 does not run TypeScript. Packages
 * stay external.
 */
function compileForNode(file: string): Promise<string> {
  const known = compiled.get(file);
  if (known !== undefined) return known;
  const output = bundleForNode(file);
  compiled.set(file, output);
  return output;
}

async function bundleForNode(file: string): Promise<string> {
  const directory = join(ROOT, "node_modules", ".dewy-test");
  await mkdir(directory, { recursive: true });
  const name = relative(ROOT, file).replaceAll(/[/\\]/g, "-");
  const outfile = join(directory, `${name}.${process.pid}.mjs`);
  await build({
    entryPoints: [file],
    outfile,
    bundle: true,
    format: "esm",
    platform: "node",
    target: "node20",
    packages: "external",
    logLevel: "warning",
  });
  return outfile;
}
