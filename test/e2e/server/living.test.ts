import { readdir, readFile, readlink, rename } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type CliRuntime, type Dewy, until } from "../dewy.ts";
import { missingProgram } from "./peers.ts";
import {
  deployed,
  expectNothingLost,
  expectOneGeneration,
  expectSameCounts,
  fullLoad,
  type ServedApp,
  serveApp,
  startTestLoad,
} from "./served_app.ts";
import { casesOn, on, suite } from "./suite.ts";

const RESTARTS = suite === "cover" ? 1 : 2;

describe("dewy server", () => {
  it.each(casesOn(["SIGHUP", "SIGUSR1"] as const, { Bun: [0] }))(
    "restarts the same version on $one without losing a request, on $name",
    { timeout: 120_000 },
    async ({ runtime, one: signal }) => {
      const { app, dewy } = await running(runtime, "node");
      const load = await startTestLoad(fullLoad(app));
      for (let restart = 0; restart < RESTARTS; restart += 1) {
        const [before] = await app.generations();
        dewy.child.kill(signal);
        await until(
          async () => {
            const now = await app.generations();
            return now.length > 0 && now.every(({ pid }) => pid !== before?.pid);
          },
          () => `another generation\n${dewy.stderr()}`,
        );
      }
      expect(await expectOneGeneration(app, dewy.stderr)).toBe("v1.0.0");
      const result = await load.stop();
      dewy.child.kill("SIGTERM");
      expect(await dewy.ended()).toBe(0);
      expectNothingLost(result, dewy.stderr());
      await expectSameCounts(app, result);
    },
  );

  it.each(casesOn(["node", "port"] as const, { Deno: [0], Node: [1] }))(
    "finishes a request in flight before it exits on SIGTERM ($one), on $name",
    async ({ runtime, one: kind }) => {
      const { app, dewy } = await running(runtime, kind, [], { APP_CHATTY: "1" });
      const [target] = app.targets;
      const port = "port" in target ? target.port : 0;
      const answer = fetch(`http://127.0.0.1:${port}/slow?ms=2000`).then((response) =>
        response.text(),
      );
      await until(
        () => dewy.stdout().includes("got /slow"),
        () => `the request\n${dewy.stdout()}\n${dewy.stderr()}`,
      );
      dewy.child.kill("SIGTERM");
      expect(await answer).toBe("v1.0.0");
      expect(await dewy.ended(), dewy.stderr()).toBe(0);
      expect(await app.generations()).toEqual([]);
      expect((await app.reports()).filter(({ event }) => event === "stopped")).toHaveLength(1);
    },
  );

  it.each(on("Deno"))(
    "passes the listening socket neither to hooks nor to the ready command, on $name",
    async (runtime) => {
      const list = (name: string): string => `ls -l /proc/$$/fd > ${name}.fds`;
      const { app, dewy } = await running(runtime, "node", [
        "--before-deploy-hook",
        list("before"),
        "--after-deploy-hook",
        list("after"),
        "--ready-command",
        list("ready"),
      ]);
      const inodes = await listeningInodes(app);
      expect(inodes).toHaveLength(2);
      for (const name of ["before", "ready", "after"]) {
        const file = join(app.cwd, `${name}.fds`);
        await until(
          async () => (await readFile(file, "utf8").catch(() => "")) !== "",
          () => `${file}\n${dewy.stderr()}`,
        );
        const descriptors = await readFile(file, "utf8");
        for (const inode of inodes) expect(descriptors, name).not.toContain(`socket:[${inode}]`);
      }
    },
  );

  it.each(on("Deno"))(
    "stops the app before it starts the next one, and restarts it if that fails, with --handoff none, on $name",
    async (runtime) => {
      const app = await serveApp(runtime, "bind");
      await app.publish("v1.0.0");
      const [target] = app.targets;
      const port = "port" in target ? target.port : 0;
      const answer = (): Promise<string> =>
        fetch(`http://127.0.0.1:${port}/`).then((response) => response.text());
      const dewy = app.start(["--handoff", "none"], { APP_BIND: String(port) });
      await deployed(dewy, "v1.0.0");
      await app.publish("v1.1.0");
      await deployed(dewy, "v1.1.0");
      expect(await answer()).toBe("v1.1.0");
      await app.publishBad("exits-at-once", "v1.2.0");
      await dewy.seen("the rollback", ({ msg, tag }) => msg === "Rolled back" && tag === "v1.2.0");
      await until(
        async () => (await answer().catch(() => "")) === "v1.1.0",
        () => `v1.1.0\n${dewy.stderr()}`,
      );
      expect(await expectOneGeneration(app, dewy.stderr)).toBe("v1.1.0");
    },
  );

  it.each(on("Node"))(
    "keeps the release of a generation that still finishes a request, however many newer releases there are, on $name",
    { timeout: 120_000 },
    async (runtime) => {
      const flags = ["--bake", "0", "--overlap", "0", "--drain-time", "10m"];
      const { app, dewy } = await running(runtime, "node", flags, { APP_CHATTY: "1" });
      const [target] = app.targets;
      const port = "port" in target ? target.port : 0;
      const given = new AbortController();
      const answer = fetch(`http://127.0.0.1:${port}/slow?ms=600000`, { signal: given.signal });
      answer.catch(() => {});
      await until(
        () => dewy.stdout().includes("got /slow"),
        () => `the request\n${dewy.stdout()}\n${dewy.stderr()}`,
      );
      const first = await readlink(join(app.cwd, "current"));
      for (let minor = 1; minor < 9; minor += 1) {
        await app.publish(`v1.${minor}.0`);
        await deployed(dewy, `v1.${minor}.0`);
      }
      await dewy.seen("that others were removed", ({ msg }) => msg === "Old releases removed");
      const versions = (await app.generations()).map(({ env }) => env.DEWY_TAG);
      expect(versions).toContain("v1.0.0");
      expect(await readdir(join(app.cwd, first)), dewy.stderr()).toContain("bin");
      given.abort();
    },
  );

  const noNotify = missingProgram("systemd-notify");
  it.skipIf(noNotify !== undefined).each(on("Bun"))(
    `waits for the app to report its readiness with sd_notify, on $name${noNotify === undefined ? "" : `: ${noNotify}`}`,
    async (runtime) => {
      const { app, dewy } = await running(runtime, "node", ["--ready-command", "false"], {
        APP_NOTIFY: "1",
      });
      expect(await expectOneGeneration(app, dewy.stderr)).toBe("v1.0.0");
    },
  );

  it.each(on())(
    "starts the release on disk at once if the registry is unreachable, and keeps polling, on $name",
    async (runtime) => {
      const { app, dewy: first } = await running(runtime, "node");
      first.child.kill("SIGTERM");
      expect(await first.ended()).toBe(0);
      const { directory } = app.publisher;
      await rename(directory, `${directory}.away`);
      const dewy = app.start();
      const load = await startTestLoad(fullLoad(app));
      expect(await expectOneGeneration(app, dewy.stderr)).toBe("v1.0.0");
      await rename(`${directory}.away`, directory);
      await app.publish("v1.1.0");
      await deployed(dewy, "v1.1.0");
      expect(await expectOneGeneration(app, dewy.stderr)).toBe("v1.1.0");
      await load.stop();
    },
  );

  it.each(on("Bun"))(
    "with --once deploys, keeps supervising, and does not poll again, on $name",
    async (runtime) => {
      const { app, dewy } = await running(runtime, "node", ["--once"]);
      await app.publish("v1.1.0");
      const [generation] = await app.generations();
      process.kill(generation?.pid ?? 0, "SIGKILL");
      await until(
        async () => {
          const [next] = await app.generations();
          return next !== undefined && next.pid !== generation?.pid;
        },
        () => `the app, started again\n${dewy.stderr()}`,
      );
      const [target] = app.targets;
      const port = "port" in target ? target.port : 0;
      expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toBe("v1.0.0");
      dewy.child.kill("SIGTERM");
      expect(await dewy.ended(), dewy.stderr()).toBe(0);
      expect(await app.generations()).toEqual([]);
    },
  );

  it.each(on("Node"))(
    "exits at once on SIGTERM during a bake, and the version counts as good, on $name",
    async (runtime) => {
      const app = await serveApp(runtime, "node");
      await app.publish("v1.0.0");
      const dewy = app.start(["--bake", "1h"]);
      await dewy.seen("the app", ({ msg }) => msg === "Server started");
      dewy.child.kill("SIGTERM");
      expect(await dewy.ended(), dewy.stderr()).toBe(0);
      expect(await app.generations()).toEqual([]);
      const messages = dewy.lines().map(({ msg }) => msg);
      expect(messages.indexOf("Dewy stopping")).toBeLessThan(messages.indexOf("Deployed"));
      const next = app.start();
      expect(await expectOneGeneration(app, next.stderr)).toBe("v1.0.0");
    },
  );

  async function running(
    runtime: CliRuntime,
    kind: "node" | "port",
    flags: readonly string[] = [],
    env: Readonly<Record<string, string>> = {},
  ): Promise<{ app: ServedApp; dewy: Dewy }> {
    const app = await serveApp(runtime, kind);
    await app.publish("v1.0.0");
    const dewy = app.start(flags, env);
    await deployed(dewy, "v1.0.0");
    return { app, dewy };
  }
});

/**
 * The inodes of the app's listening TCP sockets:
 * https://docs.kernel.org/networking/proc_net_tcp.html
 */
async function listeningInodes({ targets }: ServedApp): Promise<string[]> {
  const lines = (await readFile("/proc/net/tcp", "utf8")).split("\n").slice(1);
  const rows = lines.map((line) => line.trim().split(/\s+/));
  return targets.flatMap((target) => {
    if ("path" in target) return [];
    const port = target.port.toString(16).toUpperCase().padStart(4, "0");
    const row = rows.find(([, local, , state]) => local?.endsWith(`:${port}`) && state === "0A");
    return row?.[9] === undefined ? [] : [row[9]];
  });
}
