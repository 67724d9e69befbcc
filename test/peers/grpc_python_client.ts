import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { ROOT } from "../runtime/runtimes.ts";

export interface PythonGrpcClient {
  /** Calls a method. Returns the response, or `{ code, details }`. */
  call(
    method: "Current" | "Report" | "Check" | "Watch" | `/${string}`,
    request: Readonly<Record<string, string>>,
    metadata?: Readonly<Record<string, string>>,
  ): Promise<Record<string, string | number>>;
  close(): Promise<void>;
}

const PYTHON = "/usr/bin/python3";
const PACKAGES =
  "protobuf-compiler protobuf-compiler-grpc libprotobuf-dev python3-grpcio python3-protobuf";

/**
 * Returns why there is no client here, or `undefined` if there is one. With `DEWY_REQUIRE_PEERS=1`
 * it throws the reason, so that no suite is skipped unnoticed.
 */
export function missingPythonGrpc(): string | undefined {
  const imports = spawnSync(PYTHON, ["-c", "import grpc, google.protobuf"]);
  const plugin = spawnSync("protoc", ["--version"]);
  const hasPlugin = spawnSync("sh", ["-c", "command -v grpc_python_plugin"]).status === 0;
  if (imports.status === 0 && plugin.status === 0 && hasPlugin) return undefined;
  const reason = `skipped: gRPC for Python is not installed (apt-get install ${PACKAGES})`;
  if (process.env.DEWY_REQUIRE_PEERS === "1") {
    throw new Error(`DEWY_REQUIRE_PEERS=1, but ${reason}`);
  }
  return reason;
}

/**
 * Starts gRPC's own client library, in Python, for `proto/dewy.proto`. Without `caFile` it uses
 * plain text.
 */
export async function startPythonGrpcClient(
  target: string,
  caFile?: string,
): Promise<PythonGrpcClient> {
  const generated = await mkdtemp(join(tmpdir(), "dewy-grpc-python-"));
  const plugin = spawnSync("sh", ["-c", "command -v grpc_python_plugin"]).stdout.toString().trim();
  const protoc = spawnSync("protoc", [
    `-I${join(ROOT, "proto")}`,
    `--python_out=${generated}`,
    `--grpc_python_out=${generated}`,
    `--plugin=protoc-gen-grpc_python=${plugin}`,
    "dewy.proto",
    "health.proto",
  ]);
  if (protoc.status !== 0) throw new Error(protoc.stderr.toString());
  const script = join(ROOT, "test", "peers", "grpc_python_client.py");
  const child = spawn(PYTHON, [script, generated, target, caFile ?? ""], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const closed = once(child, "close");
  let last: Promise<unknown> = Promise.resolve();
  return {
    call(method, request, metadata = {}) {
      const answer = last.then(async () => {
        child.stdin.write(`${JSON.stringify({ method, request, metadata })}\n`);
        const { value, done } = await lines.next();
        if (done === true) throw new Error("the Python client has ended");
        return JSON.parse(value);
      });
      last = answer.catch(() => {});
      return answer;
    },
    async close() {
      child.stdin.end();
      await closed;
      await rm(generated, { recursive: true, force: true });
    },
  };
}
