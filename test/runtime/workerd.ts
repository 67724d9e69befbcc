import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";
import { neutralEnvironment, ROOT } from "./runtimes.ts";

const START_TIMEOUT_MS = 45_000;
/** Modules of the platform itself. */
const PLATFORM = ["cloudflare:workers"];

export interface WorkerOptions {
  /** An ES module that stands behind the namespace `VERSIONS` of Workers KV and the Cache API. */
  stores?: string;
  /** Secrets by name. */
  secrets?: Readonly<Record<string, string>>;
  /** The `host:port` that all requests of the worker reach. Defaults to the network. */
  outbound?: string;
}

export interface Worker {
  url: string;
  pid: number | undefined;
  close(): Promise<void>;
}

/**
 * Bundles code for a runtime that has only web standards, as a serverless platform would. Imports
 * are relative to the project's root. Throws if anything in it needs a `node:` module.
 */
export async function bundleForEdge(contents: string, minify = false): Promise<string> {
  const { outputFiles, metafile } = await build({
    stdin: { contents, resolveDir: ROOT, loader: "ts" },
    write: false,
    metafile: true,
    bundle: true,
    minify,
    format: "esm",
    platform: "neutral",
    target: "es2022",
    mainFields: ["module", "main"],
    conditions: ["workerd", "worker", "browser", "import"],
    logLevel: "silent",
    external: PLATFORM,
  });
  const left = Object.values(metafile.outputs)
    .flatMap(({ imports }) => imports)
    .filter(({ path }) => !PLATFORM.includes(path));
  if (left.length > 0) throw new Error(`the bundle imports ${left.map(({ path }) => path)}`);
  return outputFiles[0]?.text ?? "";
}

/**
 * Starts workerd without Node compatibility, and waits until it accepts connections. `script` is an
 * ES module with a default export, as Workers have.
 */
export async function startWorker(script: string, options: WorkerOptions = {}): Promise<Worker> {
  const directory = await mkdtemp(join(tmpdir(), "dewy-workerd-"));
  await writeFile(join(directory, "worker.js"), script);
  await writeFile(join(directory, "stores.js"), options.stores ?? "export default {};");
  await writeFile(join(directory, "config.capnp"), configuration(options));
  const program = createRequire(import.meta.url).resolve("workerd/bin/workerd");
  const child = spawn(program, ["serve", join(directory, "config.capnp"), "--control-fd=3"], {
    env: neutralEnvironment(),
    stdio: ["ignore", "ignore", "pipe", "pipe"],
  });
  const close = async (): Promise<void> => {
    await ended(child);
    await rm(directory, { recursive: true });
  };
  try {
    return { url: `http://127.0.0.1:${await listening(child)}/`, pid: child.pid, close };
  } catch (error) {
    await close();
    throw error;
  }
}

// https://github.com/cloudflare/workerd/blob/main/src/workerd/server/workerd.capnp
function configuration({ secrets = {}, outbound }: WorkerOptions): string {
  const texts = Object.entries(secrets).map(
    ([name, value]) => `(name = "${name}", text = ${JSON.stringify(value)}),`,
  );
  const internet =
    outbound === undefined
      ? 'network = (allow = ["private", "public"])'
      : `external = (address = "${outbound}", http = ())`;
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = (
      modules = [(name = "worker.js", esModule = embed "worker.js")],
      compatibilityDate = "2026-01-01",
      bindings = [${texts.join(" ")} (name = "VERSIONS", kvNamespace = "stores")],
      cacheApiOutbound = "stores",
    )),
    (name = "stores", worker = (
      modules = [(name = "stores.js", esModule = embed "stores.js")],
      compatibilityDate = "2026-01-01",
    )),
    (name = "internet", ${internet}),
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);
`;
}

/** Returns the port from the first line of JSON that workerd writes to the control descriptor. */
function listening(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    let errors = "";
    const fail = (what: string): void => reject(new Error(`workerd ${what}: ${errors}`));
    const timer = setTimeout(() => fail("is silent"), START_TIMEOUT_MS);
    child.stderr?.on("data", (chunk) => {
      errors += chunk;
    });
    child.once("exit", (code) => fail(`exited with ${code}`));
    child.stdio[3]?.once("data", (line) => {
      clearTimeout(timer);
      resolve(JSON.parse(String(line)).port);
    });
  });
}

function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    child.once("exit", () => resolve());
    child.kill("SIGKILL");
  });
}
