// Runs one side of the control socket on this runtime. Started by test/control/.
//   serve DIRECTORY: takes the lock and serves; each line on standard input is a call.
//   find: prints the instances that this user finds.
//   ask DIRECTORY COMMAND: finds the instance, sends the command and prints what comes back.
import { spawn } from "node:child_process";
import { argv, env, exit, stdin, stdout } from "node:process";
import { askInstance } from "../../src/control/client.ts";
import { chooseInstance, findInstances } from "../../src/control/instances.ts";
import type { InstanceStatus } from "../../src/control/protocol.ts";
import { openControl } from "../../src/control/server.ts";
import { DewyError } from "../../src/core/error.ts";
import { lockPath } from "../../src/host/files/own_paths.ts";
import { acquireLock } from "../../src/host/process/lock.ts";

const [mode, root = "", command = "status"] = argv.slice(2);

function say(line: unknown): void {
  stdout.write(`${JSON.stringify(line)}\n`);
}

async function serve(): Promise<void> {
  const lock = await acquireLock(lockPath(root), "server");
  let onWaiting = (): void => {};
  const waiting = new Promise<void>((resolve) => {
    onWaiting = resolve;
  });
  const status: InstanceStatus = {
    name: "app",
    mode: "server",
    directory: root,
    phase: { name: "idle" },
    waiting: [],
    bad: [],
    skipped: [],
  };
  const control = await openControl({
    root,
    name: "app",
    mode: "server",
    version: "1.2.3",
    env,
    emit: (event) => say({ event }),
    ...(env.CONTROL_PROTOCOL === undefined ? {} : { protocol: Number(env.CONTROL_PROTOCOL) }),
    timeouts: JSON.parse(env.CONTROL_TIMEOUTS ?? "{}"),
    handler: {
      status: async () => status,
      steer: async ({ command: name }, { user }, progress) => {
        if (name === "restart") throw new DewyError("it has no app", { code: "deploy" });
        progress(`${name} by ${user}`);
        if (name === "pause") {
          onWaiting();
          await new Promise(() => {});
        }
        return { text: `${name} is done`, live: "v1.0.0" };
      },
    },
  });
  say({ ready: true });
  stdin.setEncoding("utf8");
  stdin.on("data", (text) => void obey(String(text).trim()));
  stdin.on("end", () => exit(0));

  async function obey(call: string): Promise<void> {
    if (call === "child") say({ pid: spawn("sleep", ["60"], { stdio: "ignore" }).pid });
    if (call === "waiting") say({ waiting: await waiting.then(() => true) });
    if (call !== "close") return;
    await control.close();
    await lock.release();
    say({ closed: true });
    exit(0);
  }
}

async function ask(): Promise<void> {
  const found = await chooseInstance({ directory: root }, env);
  const progress: string[] = [];
  const reply = await askInstance(
    found,
    {
      dewy: "1.2.3",
      operator: { user: "alice" },
      request: { command } as { command: "poll" },
    },
    { onProgress: (text) => progress.push(text) },
  );
  say({ progress, reply });
  exit(0);
}

async function find(): Promise<void> {
  say(await findInstances(env));
  exit(0);
}

await (mode === "serve" ? serve() : mode === "find" ? find() : ask()).catch((error) => {
  say({ error: error instanceof DewyError ? [error.code, error.message] : String(error) });
  exit(1);
});
