import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { ROOT, runtimes } from "../../runtime/runtimes.ts";
import type { Lane, Load, LoadResult, VersionSeen } from "./load.ts";

/** A load that runs in its own process. */
export interface RunningLoad {
  child: ChildProcess;
  /** The versions that have answered so far. */
  versions(): readonly VersionSeen[];
  /** Stops the load after the requests in flight. */
  stop(): Promise<LoadResult>;
}

export type Target = Lane["target"];

/** The limits of a load, whatever happens to the test. */
const BOUNDS: Omit<Load, "lanes"> = { maxMs: 900_000, maxRequests: 5_000_000, timeoutMs: 20_000 };

/** Starts the load client, on Node. The caller stops it. */
export async function startLoad(
  lanes: readonly Lane[],
  bounds: Partial<typeof BOUNDS> = {},
): Promise<RunningLoad> {
  const [node] = runtimes;
  if (node === undefined) throw new Error("no Node among the runtimes");
  const [, script = ""] = await node.command(join(ROOT, "test/e2e/server/load_client.ts"));
  const load: Load = { ...BOUNDS, ...bounds, lanes };
  const program = process.versions.bun === undefined ? process.execPath : nodeOfNpm();
  const child = spawn(program, [script, JSON.stringify(load)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const seen: VersionSeen[] = [];
  const ended = new Promise<LoadResult>((resolve, reject) => {
    let result: LoadResult | undefined;
    createInterface({ input: child.stdout }).on("line", (line) => {
      const message: VersionSeen | { result: LoadResult } = JSON.parse(line);
      if ("result" in message) result = message.result;
      else seen.push(message);
    });
    child.on("close", (code, signal) =>
      result === undefined
        ? reject(new Error(`the load client ended with ${code ?? signal} and no result`))
        : resolve(result),
    );
  });
  ended.catch(() => {});
  return {
    child,
    versions: () => seen,
    stop: () => {
      child.kill("SIGTERM");
      return ended;
    },
  };
}

/** Bun runs the benchmarks, but they measure with Node. */
function nodeOfNpm(): string {
  return process.env.npm_node_execpath ?? "node";
}

/** The kinds of use that a switch could disturb. */
export const lanes = {
  /** Workers that each keep one connection. */
  keepAlive: (target: Target, workers = 2): Lane => ({
    name: "keep-alive",
    target,
    keepAlive: true,
    workers,
    paceMs: 2,
  }),
  /** A new connection per request. */
  perRequest: (target: Target, workers = 2): Lane => ({
    name: "connection per request",
    target,
    keepAlive: false,
    workers,
    paceMs: 2,
  }),
  /** Slow answers, so that each switch finds some in flight. */
  slow: (target: Target, ms = 5000, workers = 3): Lane => ({
    name: `${ms} ms in flight`,
    target,
    path: `/slow?ms=${ms}`,
    keepAlive: false,
    workers,
    paceMs: 50,
  }),
  /** Large bodies, so that each switch finds some in transit. */
  upload: (target: Target, bytes: number, workers = 1): Lane => ({
    name: `upload of ${bytes} bytes`,
    target,
    path: "/upload",
    kind: { upload: bytes },
    keepAlive: false,
    workers,
    paceMs: 10,
  }),
  /** Upgraded connections, like WebSockets, each with a number of messages. */
  echo: (target: Target, messages: number, workers = 2): Lane => ({
    name: `upgraded, ${messages} messages`,
    target,
    kind: { echo: messages },
    keepAlive: false,
    workers,
    paceMs: 10,
  }),
} as const;
