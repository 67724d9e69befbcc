/**
 * A gRPC server and client in Python, with code that protoc generates from proto/dewy.proto.
 *
 * Debian:
 * `apt-get install -y --no-install-recommends protobuf-compiler protobuf-compiler-grpc
 * libprotobuf-dev python3-grpcio python3-protobuf`.
 *
 * @module
 */
import { type ChildProcess, execFile, execFileSync, spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import type { Certificate } from "../fakes/grpc.ts";
import { neutralEnvironment, ROOT } from "../runtime/runtimes.ts";

/** Debian's own: another Python in PATH does not have its packages. */
const PYTHON = "/usr/bin/python3";
const START_TIMEOUT_MS = 45_000;
const run = promisify(execFile);

/** The answer of a Python server: a version, or a status. */
export type PythonAnswer =
  | { id: string; tag: string; artifact_url: string; created_at?: string }
  | { status: string; details: string };

export interface PythonServer {
  /** `127.0.0.1:<port>`. */
  target: string;
  /** The requests so far. */
  requests: Record<string, unknown>[];
  stop(): Promise<void>;
}

/** gRPC's own implementation in Python, as a server and as a client. */
export interface GrpcPython {
  serve(answer: PythonAnswer, tls?: Certificate): Promise<PythonServer>;
  /** Calls `Current` and reports an error to the server. */
  ask(target: string, options?: { token?: string; caFile?: string }): Promise<unknown>;
  /** For the files of a test. */
  directory: string;
  /** Removes the generated code. */
  remove(): Promise<void>;
}

/**
 * Returns why there is no Python peer here, or `undefined` if there is one. With
 * `DEWY_REQUIRE_PEERS=1` it throws the reason, so that no suite is skipped unnoticed.
 */
export function missingGrpcPython(): string | undefined {
  const missing: string[] = [];
  const needs = (what: string, program: string, args: string[]): void => {
    try {
      execFileSync(program, args, { stdio: "ignore" });
    } catch {
      missing.push(what);
    }
  };
  needs("protobuf-compiler", "protoc", ["--version"]);
  needs("protobuf-compiler-grpc", "which", ["grpc_python_plugin"]);
  needs("python3-grpcio", PYTHON, ["-c", "import grpc, google.protobuf"]);
  if (missing.length === 0) return undefined;
  const reason = `skipped: ${missing.join(", ")} not installed`;
  if (process.env.DEWY_REQUIRE_PEERS === "1")
    throw new Error(`DEWY_REQUIRE_PEERS=1, but ${reason}`);
  return reason;
}

/** Generates the Python code. */
export async function grpcPython(): Promise<GrpcPython> {
  const directory = await mkdtemp(join(tmpdir(), "dewy-python-"));
  const { stdout: plugin } = await run("which", ["grpc_python_plugin"]);
  await run("protoc", [
    `--proto_path=${join(ROOT, "proto")}`,
    `--python_out=${directory}`,
    `--grpc_python_out=${directory}`,
    `--plugin=protoc-gen-grpc_python=${plugin.trim()}`,
    "dewy.proto",
  ]);
  return {
    directory,
    serve: (answer, tls) => serve(directory, answer, tls),
    async ask(target, { token = "", caFile } = {}) {
      const script = join(ROOT, "test/peers/grpc_client.py");
      const args = [script, directory, target, token, ...(caFile === undefined ? [] : [caFile])];
      const { stdout } = await run(PYTHON, args, { timeout: 45_000, env: pythonEnvironment() });
      return JSON.parse(stdout);
    },
    remove: () => rm(directory, { recursive: true }),
  };
}

/**
 * Without it, gRPC's C core would use the environment's proxies, and Python would write bytecode
 * beside the sources.
 */
function pythonEnvironment(): NodeJS.ProcessEnv {
  return { ...neutralEnvironment(), PYTHONDONTWRITEBYTECODE: "1", GRPC_VERBOSITY: "NONE" };
}

async function serve(
  directory: string,
  answer: PythonAnswer,
  tls: Certificate | undefined,
): Promise<PythonServer> {
  const args = [join(ROOT, "test/peers/grpc_server.py"), directory, JSON.stringify(answer)];
  if (tls !== undefined) {
    const files = [join(directory, "server.key"), join(directory, "server.pem")] as const;
    await writeFile(files[0], tls.key);
    await writeFile(files[1], tls.cert);
    args.push(...files);
  }
  // It exits when its standard input closes, and so also when the test is killed.
  const child = spawn(PYTHON, args, { stdio: ["pipe", "pipe", "pipe"], env: pythonEnvironment() });
  const requests: Record<string, unknown>[] = [];
  const port = await listening(child, requests);
  return {
    target: `127.0.0.1:${port}`,
    requests,
    stop: () =>
      new Promise((resolve) => {
        child.once("exit", () => resolve());
        child.stdin?.end();
      }),
  };
}

function listening(child: ChildProcess, requests: Record<string, unknown>[]): Promise<number> {
  return new Promise((resolve, reject) => {
    let errors = "";
    const fail = (what: string): void => reject(new Error(`the Python server ${what}: ${errors}`));
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      fail("is silent");
    }, START_TIMEOUT_MS);
    child.stderr?.on("data", (chunk) => {
      errors += chunk;
    });
    child.once("error", (error) => fail(error.message));
    child.once("exit", (code) => {
      clearTimeout(timer);
      fail(`exited with ${code}`);
    });
    if (child.stdout === null) return fail("has no output");
    createInterface({ input: child.stdout }).on("line", (line) => {
      const message = JSON.parse(line);
      if (message.port === undefined) requests.push(message);
      else {
        clearTimeout(timer);
        resolve(message.port);
      }
    });
  });
}
