import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { onTestFinished } from "vitest";
import type { Backend } from "../../../src/host/proxy/backend.ts";
import type { Drained, TcpProxyOptions, TcpProxyStats } from "../../../src/host/proxy/tcp_proxy.ts";
import { neutralEnvironment, ROOT, type Runtime } from "../../runtime/runtimes.ts";

/** A proxy in its own process, on one of the runtimes. */
export interface ProxyProcess {
  address: { host: string; port: number };
  setBackends(backends: readonly Backend[]): Promise<void>;
  connections(backend: Backend): Promise<number>;
  drain(backend: Backend, timeoutMs: number): Promise<Drained>;
  close(options?: { drainMs?: number }): Promise<void>;
  stats(): Promise<TcpProxyStats>;
  /** The warnings so far. */
  messages(): Promise<string[]>;
  /** The resident memory of the process, in bytes. */
  memory(): Promise<number>;
  /** Ends the process with SIGKILL. */
  kill(): void;
  /** Resolves when the process has ended. */
  exited: Promise<void>;
}

interface Answer {
  id?: number;
  address?: { host: string; port: number };
  result?: unknown;
  error?: string;
}

/**
 * Starts a proxy; it ends with the test.
 *
 * @param runtime what it runs on.
 * @param options those of the proxy; `listen` defaults to a free port of 127.0.0.1.
 * @param inherited a descriptor that the process gets as number 3.
 */
export async function startProxy(
  runtime: Runtime,
  options: Partial<Omit<TcpProxyOptions, "clock" | "emit">> = {},
  inherited?: number,
): Promise<ProxyProcess> {
  const [program, ...args] = await runtime.command(join(ROOT, "test/runtime/proxy_case.ts"));
  const listen = { host: "127.0.0.1", port: 0 };
  const child = spawn(program, args, {
    cwd: ROOT,
    env: { ...neutralEnvironment(), PROXY_OPTIONS: JSON.stringify({ listen, ...options }) },
    stdio: ["pipe", "pipe", "inherit", ...(inherited === undefined ? [] : [inherited])],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  return control(child);
}

function control(child: ChildProcess): Promise<ProxyProcess> {
  const { stdin, stdout } = child;
  if (stdin === null || stdout === null) throw new Error("the process has no pipes");
  const pending = new Map<number, (answer: Answer) => void>();
  let lastId = 0;
  const call = <Result>(name: string, argument?: unknown): Promise<Result> =>
    new Promise((resolve, reject) => {
      lastId += 1;
      pending.set(lastId, ({ error, result }) => {
        if (error === undefined) resolve(result as Result);
        else reject(new Error(error));
      });
      stdin.write(`${JSON.stringify({ id: lastId, call: name, argument })}\n`);
    });
  const exited = new Promise<void>((resolve) => {
    child.once("exit", () => resolve());
  });
  return new Promise((resolve, reject) => {
    createInterface({ input: stdout }).on("line", (line) => {
      const answer: Answer = JSON.parse(line);
      const { id, address, error } = answer;
      if (id !== undefined) pending.get(id)?.(answer);
      else if (address === undefined) reject(new Error(error));
      else {
        resolve({
          address,
          setBackends: (backends) => call("setBackends", backends),
          connections: (backend) => call("connections", backend),
          drain: (backend, timeoutMs) => call("drain", [backend, timeoutMs]),
          close: (options = {}) => call("close", options),
          stats: () => call("stats"),
          messages: () => call("messages"),
          memory: () => call("memory"),
          kill: () => void child.kill("SIGKILL"),
          exited,
        });
      }
    });
    child.once("exit", (code) => reject(new Error(`the proxy ended with ${code}`)));
  });
}
