import { connect } from "node:net";
import { describe, expect, it } from "vitest";
import { type CliRuntime, type Dewy, until } from "../dewy.ts";
import { missingProgram } from "./peers.ts";
import { kill, processesWith } from "./processes.ts";
import { type BackgroundMode, makeBackgroundApp } from "./releases.ts";
import { deployed, type ServedApp, serveApp } from "./served_app.ts";
import { casesOn, type OnRuntime, on } from "./suite.ts";

/** Long enough for a process that was left behind to get some of the connections. */
const ASKED = 20;
const PROGRAMS: Readonly<Partial<Record<BackgroundMode, string>>> = {
  gunicorn: "/usr/bin/gunicorn",
  nginx: "/usr/sbin/nginx",
  "nginx-behind": "/usr/sbin/nginx",
};

interface Case {
  mode: BackgroundMode;
  /** Whether the app opens its port itself. */
  opensPort?: boolean;
}

const DAEMONS: readonly Case[] = [
  { mode: "daemon" },
  { mode: "fork" },
  { mode: "gunicorn" },
  { mode: "nginx-behind" },
  { mode: "daemon", opensPort: true },
  { mode: "nginx", opensPort: true },
];

const named = (all: OnRuntime<Case>[]): (OnRuntime<Case> & { what: string })[] =>
  all.map((each) => {
    const { mode, opensPort } = each.one;
    return { ...each, what: opensPort ? `${mode}, opening its own port` : mode };
  });

describe("an app that moves to the background", () => {
  for (const { one, what, ...on } of named(
    casesOn(DAEMONS, { Node: [0, 3, 5], Deno: [1, 4], Bun: [2] }),
  )) {
    const missing = missingFor(one.mode);
    it.skipIf(missing !== undefined)(
      `is rolled back with all of its processes (${what}), on ${on.name}${missing === undefined ? "" : `: ${missing}`}`,
      { timeout: 120_000 },
      async () => {
        const { app, dewy, port } = await running(on.runtime, "stays", one.opensPort);
        await publish(app, one.mode, "v1.1.0");
        const { reason } = await dewy.seen("the rollback", ({ msg }) => msg === "Rolled back");
        expect(reason).toMatch(/background.*daemon off/);
        await until(
          async () => (await versionAt(port).catch(() => "")) !== "",
          () => `an answer\n${dewy.stderr()}`,
        );
        expect(await versionsAt(port)).toEqual(["v1.0.0"]);
        await stop(app, dewy, port);
      },
    );
  }
});

describe("a worker in its own session", () => {
  it.each(on("Node"))(
    "is stopped with its generation in a switch, on $name",
    { timeout: 120_000 },
    async (runtime) => {
      const { app, dewy, port } = await running(runtime, "worker");
      expect(await app.generations()).toHaveLength(2);
      await publish(app, "worker", "v1.1.0");
      await dewy.seen("the end of v1.0.0", ({ msg }) => msg === "App drained");
      expect(await versionsAt(port)).toEqual(["v1.1.0"]);
      const stopped = (await app.reports()).filter(({ event }) => event === "stopped");
      expect(stopped.map(({ version }) => version)).toEqual(["v1.0.0", "v1.0.0"]);
      await stop(app, dewy, port);
    },
  );

  it.each(on("Bun"))(
    "is stopped by the next dewy process if it is all that is left of an earlier one, on $name",
    { timeout: 120_000 },
    async (runtime) => {
      const { app, dewy: killed, port } = await running(runtime, "worker");
      const { pid: main } = await killed.seen("the app", ({ msg }) => msg === "App ready");
      const worker = (await app.generations()).find(({ pid }) => pid !== main);
      await until(
        async () => {
          const rest = await processesWith("APP_REPORT", app.reportFile);
          const others = rest.filter(({ pid }) => pid !== worker?.pid);
          for (const { pid } of others) kill(pid);
          return others.length === 0;
        },
        () => "the end of all but the worker",
      );
      // The programs behind the app's output still have dewy's.
      const { child } = killed;
      await until(
        () => (child.exitCode ?? child.signalCode) !== null,
        () => "the end of dewy's first process",
      );
      expect(await versionAt(port)).toBe("v1.0.0");
      const dewy = app.start(["--overlap", "0"]);
      await dewy.seen("the app", ({ msg }) => msg === "App ready");
      await until(
        async () => (await app.generations()).every(({ pid }) => pid !== worker?.pid),
        () => `the end of the worker\n${dewy.stderr()}`,
      );
      expect(await versionsAt(port)).toEqual(["v1.0.0"]);
      await stop(app, dewy, port);
    },
  );
});

function missingFor(mode: BackgroundMode): string | undefined {
  return missingProgram("/usr/bin/python3") ?? missingProgram(PROGRAMS[mode] ?? "/bin/sh");
}

async function running(
  runtime: CliRuntime,
  mode: BackgroundMode,
  opensPort = false,
): Promise<{ app: ServedApp; dewy: Dewy; port: number }> {
  const app = await serveApp(runtime, "python");
  const [target] = app.targets;
  const port = "port" in target ? target.port : 0;
  await publish(app, mode, "v1.0.0");
  const dewy = opensPort
    ? app.start(["--handoff", "none"], { APP_BIND: String(port) })
    : app.start();
  await deployed(dewy, "v1.0.0");
  return { app, dewy, port };
}

async function publish(app: ServedApp, mode: BackgroundMode, version: string): Promise<void> {
  await app.publisher.publish(version, await makeBackgroundApp(mode, version));
}

async function versionAt(port: number): Promise<string> {
  const headers = { connection: "close" };
  return (await fetch(`http://127.0.0.1:${port}/`, { headers })).text();
}

/** The versions that answer a series of connections. */
async function versionsAt(port: number): Promise<string[]> {
  const versions = new Set<string>();
  for (let asked = 0; asked < ASKED; asked += 1) versions.add(await versionAt(port));
  return [...versions];
}

async function stop(app: ServedApp, dewy: Dewy, port: number): Promise<void> {
  dewy.child.kill("SIGTERM");
  expect(await dewy.ended(), dewy.stderr()).toBe(0);
  expect(await processesWith("APP_REPORT", app.reportFile)).toEqual([]);
  expect(await isOpen(port), "the port is free").toBe(false);
}

function isOpen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port });
    const end = (open: boolean): void => {
      socket.destroy();
      resolve(open);
    };
    socket.once("connect", () => end(true)).once("error", () => end(false));
  });
}
