import { type ChildProcess, spawn } from "node:child_process";
import { connect } from "node:net";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { neutralEnvironment, ROOT, type Runtime } from "../../runtime/runtimes.ts";
import type { HoldCase } from "./hold_case.ts";

export { freePort } from "../../peers/ports.ts";

/** One line of the case's output. */
export interface Said {
  held?: readonly { name: string; fd: number; inherited: boolean }[];
  pid?: number;
  parent?: number;
  event?: { type: string; message?: string };
  text?: string;
  ready?: number;
  generationPid?: number;
  exit?: { code: number | null; signal: string | null };
  hook?: string;
  error?: string;
}

/** A running case. */
export interface CaseProcess {
  readonly child: ChildProcess;
  readonly said: readonly Said[];
  /** The next line, from `after` on, that the predicate accepts. */
  until(predicate: (said: Said) => boolean, after?: number): Promise<Said>;
  readonly exited: Promise<number | string | null>;
}

/** Starts the case on a runtime, and ends all of it with the test. */
export async function startCase(
  runtime: Runtime,
  wanted: HoldCase,
  launcher: readonly string[] = [],
): Promise<CaseProcess> {
  const command = await runtime.command(join(ROOT, "test/host/sockets/hold_case.ts"));
  const [program = "", ...args] = [...launcher, ...command];
  const child = spawn(program, args, {
    cwd: ROOT,
    env: { ...neutralEnvironment(), CASE: JSON.stringify(wanted) },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const said: Said[] = [];
  const listeners = new Set<() => void>();
  let rest = "";
  let errors = "";
  child.stderr?.on("data", (chunk: Buffer) => {
    errors += chunk.toString();
  });
  child.stdout?.on("data", (chunk: Buffer) => {
    const lines = (rest + chunk.toString()).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) said.push(JSON.parse(line) as Said);
    for (const listener of listeners) listener();
  });
  const exited = new Promise<number | string | null>((resolve) => {
    child.once("exit", (code, signal) => resolve(code ?? signal));
  });
  onTestFinished(() => {
    for (const { pid, parent, generationPid } of said) {
      // Parents first: a holder would start again what was killed below it.
      if (parent !== undefined && parent !== process.pid) kill(parent, "SIGKILL");
      if (pid !== undefined) kill(pid, "SIGKILL");
      if (generationPid !== undefined) kill(generationPid, "SIGKILL");
    }
    child.kill("SIGKILL");
  });
  return {
    child,
    said,
    exited,
    until: (predicate, after = 0) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          const found = said.slice(after).find(predicate);
          const failed = said.slice(after).find(({ error }) => error !== undefined);
          if (found === undefined && failed === undefined) return;
          listeners.delete(look);
          if (found !== undefined) resolve(found);
          else reject(new Error(failed?.error));
        };
        listeners.add(look);
        look();
        void exited.then((code) => {
          listeners.delete(look);
          reject(new Error(`ended with ${code}: ${JSON.stringify(said)} ${errors}`));
        });
      }),
  };
}

/** Sends a signal to a process that may have ended. */
export function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has.
  }
}

/** Connects, and reads to the end. */
export function ask(where: { port: number; host: string } | { path: string }): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(where);
    let text = "";
    socket.once("connect", () => socket.write("?"));
    socket.on("data", (chunk) => {
      text += chunk.toString();
    });
    socket.once("error", reject);
    socket.once("close", () => {
      if (text === "") reject(new Error("closed without an answer"));
      else resolve(text);
    });
  });
}

/** Sends requests continuously, two at a time. */
export function load(port: number): {
  answers: readonly string[];
  stop(): Promise<{ asked: number; failures: readonly string[] }>;
} {
  const answers: string[] = [];
  const failures: string[] = [];
  let asked = 0;
  let isOn = true;
  const client = async (): Promise<void> => {
    while (isOn) {
      asked += 1;
      await ask({ port, host: "127.0.0.1" }).then(
        (text) => void answers.push(text),
        (error: unknown) => void failures.push(String(error)),
      );
    }
  };
  const clients = [client(), client()];
  return {
    answers,
    stop: async () => {
      isOn = false;
      await Promise.all(clients);
      return { asked, failures };
    },
  };
}

/** Resolves when a condition holds. */
export async function eventually(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 10));
}
