/**
 * A small `dewy server`: holds sockets, starts an app, switches to a new generation on SIGUSR1. What happens goes to
 * standard output, one JSON value a line.
 */
import { tmpdir } from "node:os";
import { openProcess } from "../../../src/host/process/io.ts";
import { signalProcess } from "../../../src/host/process/processes.ts";
import { run } from "../../../src/host/process/run.ts";
import { holdSockets } from "../../../src/host/sockets/hold_sockets.ts";
import { parseListenSpecs } from "../../../src/host/sockets/listen_spec.ts";
import { type GenerationProcess, startGeneration } from "../../../src/server/generation/process.ts";

/** What the test wants, in the variable `CASE`. */
export interface HoldCase {
  ports: readonly string[];
  app?: readonly [string, ...string[]];
  /** A command to run as a hook would be. */
  hook?: readonly [string, ...string[]];
  /** End at once with this exit code. */
  exit?: number;
  root?: string;
  user?: { uid: number; gid: number };
}

const io = openProcess();
const wanted = JSON.parse(io.env.CASE ?? "") as HoldCase;
const say = (value: unknown): void => io.stdout.write(`${JSON.stringify(value)}\n`);

try {
  const held = await holdSockets(parseListenSpecs(wanted.ports.length > 0 ? wanted.ports : []), {
    env: io.env,
    emit: (event) => say({ event }),
    signals: io.signals,
    argv: process.argv.slice(2),
    root: wanted.root ?? process.cwd(),
  });
  if (held.kind === "ended") await io.exit(held.exitCode);
  else {
    const { sockets } = held.holder;
    say({ held: sockets, pid: process.pid, parent: process.ppid });
    if (wanted.exit !== undefined) await io.exit(wanted.exit);
    if (wanted.hook !== undefined) {
      const { stdout } = await run({
        command: wanted.hook,
        cwd: "/",
        env: io.env,
        timeoutMs: 10_000,
      });
      say({ hook: stdout });
    }
    let number = 0;
    let current: GenerationProcess | undefined;
    const next = async (): Promise<void> => {
      if (wanted.app === undefined) return;
      number += 1;
      const started = await startGeneration({
        command: wanted.app,
        cwd: "/",
        env: io.env,
        sockets,
        generation: number,
        user: wanted.user,
        runDirectory: tmpdir(),
        prefix: "",
        onOutput: (chunk) => say({ text: new TextDecoder().decode(chunk) }),
      });
      const generation = number;
      void started.exited.then((exit) => say({ exit, generation }));
      await started.ready;
      say({ ready: generation, generationPid: started.pid });
      if (current !== undefined) signalProcess(current.pid, "SIGTERM");
      current = started;
    };
    io.signals.onReload(() => void next());
    await next();
    const hold = setInterval(() => {}, 60_000);
    await new Promise<void>((resolve) => {
      io.signals.stop.addEventListener("abort", () => resolve());
      if (io.signals.stop.aborted) resolve();
    });
    clearInterval(hold);
    if (current !== undefined) signalProcess(current.pid, "SIGTERM");
    await current?.exited;
    await held.holder.close();
    await io.exit(0);
  }
} catch (error) {
  say({ error: error instanceof Error ? `${error.name}: ${error.message}` : String(error) });
  await io.exit(3);
}
