import { type ChildProcess, spawn } from "node:child_process";
import { realpath } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { instanceId } from "../../src/control/runtime_directory.ts";
import { neutralEnvironment, ROOT, type Runtime } from "../runtime/runtimes.ts";
import { tempDirectory } from "../support/temp_directory.ts";

const FILE = join(ROOT, "test/control/control_process.ts");

export interface Served {
  /** The working directory. */
  root: string;
  runtimeDirectory: string;
  /** The directory of the instance below the runtime directory. */
  directory: string;
  socket: string;
  child: ChildProcess;
  /** Sends a call and returns the next line that has this key. */
  call<T>(call: string, key: string): Promise<T>;
  /** Every line so far. */
  lines(): readonly Record<string, unknown>[];
}

export interface Options {
  root?: string;
  env?: Readonly<Record<string, string>>;
}

/** Serves the control socket in a process of its own, which ends with the test. */
export async function serveControl(runtime: Runtime, options: Options = {}): Promise<Served> {
  const runtimeDirectory = options.env?.DEWY_RUNTIME_DIR ?? join(await tempDirectory(), "run");
  const root = options.root ?? (await realpath(await tempDirectory()));
  const [program, ...args] = await runtime.command(FILE);
  const child = spawn(program, [...args, "serve", root], {
    cwd: ROOT,
    env: { ...neutralEnvironment(), DEWY_RUNTIME_DIR: runtimeDirectory, ...options.env },
    stdio: ["pipe", "pipe", "inherit"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  const found: Record<string, unknown>[] = [];
  const waiting = new Set<() => void>();
  let text = "";
  child.stdout.on("data", (chunk) => {
    const lines = `${text}${chunk}`.split("\n");
    text = lines.pop() ?? "";
    for (const line of lines) found.push(JSON.parse(line));
    for (const wake of waiting) wake();
  });
  const next = async (key: string, after: number): Promise<unknown> => {
    for (;;) {
      const line = found.slice(after).find((one) => key in one);
      if (line !== undefined) return line[key];
      await new Promise<void>((resolve) => waiting.add(resolve));
    }
  };
  await next("ready", 0);
  const directory = join(runtimeDirectory, instanceId(root));
  return {
    root,
    runtimeDirectory,
    directory,
    socket: join(directory, "socket"),
    child,
    call: async <T>(call: string, key: string) => {
      const after = found.length;
      child.stdin.write(`${call}\n`);
      return (await next(key, after)) as T;
    },
    lines: () => found,
  };
}

/** Runs the asking side on a runtime. */
export async function askOn(
  runtime: Runtime,
  { root, runtimeDirectory }: Pick<Served, "root" | "runtimeDirectory">,
  command: string,
): Promise<unknown> {
  const { run } = await import("../runtime/runtimes.ts");
  const [program, ...args] = await runtime.command(FILE);
  const { stdout } = await run(program, [...args, "ask", root, command], {
    env: { DEWY_RUNTIME_DIR: runtimeDirectory },
  });
  return JSON.parse(stdout);
}

export interface RawClient {
  socket: Socket;
  /** Everything that came, once the other side has closed the connection. */
  answer: Promise<string>;
}

/** A client that sends whatever bytes it likes. */
export function rawClient(path: string): RawClient {
  const socket = connect({ path, allowHalfOpen: true });
  onTestFinished(() => void socket.destroy());
  const answer = new Promise<string>((resolve) => {
    let text = "";
    socket.on("data", (chunk) => {
      text += chunk;
    });
    socket.on("error", () => resolve(text));
    socket.on("end", () => resolve(text));
    socket.on("close", () => resolve(text));
  });
  return { socket, answer };
}

export function requestLine(command: string, fields: object = {}): string {
  const request = { command };
  return `${JSON.stringify({ protocol: 1, dewy: "1.2.3", operator: { user: "alice" }, request, ...fields })}\n`;
}
