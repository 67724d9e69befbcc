import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { neutralEnvironment } from "../../runtime/runtimes.ts";
import { until } from "../dewy.ts";
import { missingProgram } from "./peers.ts";
import {
  expectNothingLost,
  expectOneGeneration,
  expectSameCounts,
  fullLoad,
  type ServedApp,
  serveApp,
  startTestLoad,
} from "./served_app.ts";
import { on } from "./suite.ts";

/** Opens the port and starts dewy. Debian: `apt-get install libserver-starter-perl systemd`. */
const START_SERVER = "start_server";
const SOCKET_ACTIVATE = "systemd-socket-activate";
/**
 * Restarts the service as a unit with `Restart=always` does; systemd-socket-activate only executes
 * it. dewy gets the sockets each time in a new process, with LISTEN_PID.
 */
const RESTART_ALWAYS = `
trap 'kill -TERM $dewy; wait $dewy; exit' TERM
while :; do
  sh -c 'LISTEN_PID=$$; export LISTEN_PID; exec "$@"' sh "$@" & dewy=$!
  wait $dewy
done`;

describe("dewy server", () => {
  const noStarter = missingProgram(START_SERVER);
  it.skipIf(noStarter !== undefined).each(on("Node"))(
    `is itself restarted under ${START_SERVER} without losing a request, on $name${because(noStarter)}`,
    { timeout: 120_000 },
    async (runtime) => {
      const app = await serveApp(runtime, "c-server-starter");
      await app.publish("v1.0.0");
      const ports = app.targets.map((target) =>
        "path" in target ? `--path=${target.path}` : `--port=${target.host}:${target.port}`,
      );
      const starter = start(app, START_SERVER, [...ports, "--", ...app.command()]);
      await survivesRestarts(app, starter, () => starter.kill("SIGHUP"));
    },
  );

  const noActivation = missingProgram(SOCKET_ACTIVATE);
  it.skipIf(noActivation !== undefined).each(on("Deno"))(
    `is itself restarted under ${SOCKET_ACTIVATE} without losing a request, on $name${because(noActivation)}`,
    { timeout: 120_000 },
    async (runtime) => {
      const app = await serveApp(runtime, "c-listen-fds");
      await app.publish("v1.0.0");
      const sockets = app.targets.flatMap((target) => [
        "-l",
        "path" in target ? target.path : `${target.host}:${target.port}`,
      ]);
      const service = ["sh", "-c", RESTART_ALWAYS, "unit", ...app.command()];
      const environment = Object.keys(environmentOf(app)).flatMap((name) => ["-E", name]);
      const activator = start(app, SOCKET_ACTIVATE, [...sockets, ...environment, ...service]);
      // It starts the service at the first connection.
      await until(
        () => accepts(app),
        () => "its sockets",
      );
      await survivesRestarts(app, activator, async () =>
        process.kill(await dewyOf(app), "SIGTERM"),
      );
    },
  );
});

function because(reason: string | undefined): string {
  return reason === undefined ? "" : `: ${reason}`;
}

function environmentOf(app: ServedApp): Record<string, string | undefined> {
  return { ...neutralEnvironment(), APP_REPORT: app.reportFile };
}

function start(app: ServedApp, program: string, args: readonly string[]): ChildProcess {
  const child = spawn(program, args, {
    cwd: app.cwd,
    env: environmentOf(app),
    stdio: ["ignore", "ignore", "pipe"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  return child;
}

function accepts({ targets: [target] }: ServedApp): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(target);
    socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    socket.once("connect", () => socket.destroy());
  });
}

/**
 * Restarts dewy gracefully and then kills it, under load. Each time another dewy takes over, with
 * one generation.
 */
async function survivesRestarts(
  app: ServedApp,
  starter: ChildProcess,
  restart: () => unknown,
): Promise<void> {
  let log = "";
  starter.stderr?.on("data", (chunk) => {
    log += chunk;
  });
  const readLog = (): string => log;
  const ended = once(starter, "exit");
  await until(() => log.includes('"Deployed"'), readLog);
  const load = await startTestLoad(fullLoad(app));
  const first = await dewyOf(app);
  await restart();
  const second = await anotherDewy(app, [first], readLog);
  process.kill(second, "SIGKILL");
  await anotherDewy(app, [first, second], readLog);
  expect(await expectOneGeneration(app, readLog)).toBe("v1.0.0");
  const result = await load.stop();
  expectNothingLost(result, log);
  starter.kill("SIGTERM");
  await ended;
  await until(
    async () => (await app.generations()).length === 0,
    () => `the end of the app\n${log}`,
  );
  await expectSameCounts(app, result);
}

/** Waits for another dewy that holds the directory's lock, with its own generation. */
async function anotherDewy(
  app: ServedApp,
  before: readonly number[],
  log: () => string,
): Promise<number> {
  let pid = 0;
  const starts = (): number => log().split('"App ready"').length;
  const known = starts();
  await until(
    async () => {
      pid = await dewyOf(app).catch(() => 0);
      return pid > 0 && !before.includes(pid) && starts() > known;
    },
    () => `a dewy other than ${before.join(", ")}\n${log()}`,
  );
  await expectOneGeneration(app, log);
  return pid;
}

/** The process that holds the lock of the working directory. */
async function dewyOf(app: ServedApp): Promise<number> {
  const { pid }: { pid: number } = JSON.parse(
    await readFile(join(app.cwd, ".dewy", "lock"), "utf8"),
  );
  return pid;
}
