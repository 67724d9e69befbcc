import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, chown, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { askInstance } from "../../src/control/client.ts";
import { chooseInstance, findInstances } from "../../src/control/instances.ts";
import { instanceId } from "../../src/control/runtime_directory.ts";
import type { Control } from "../../src/control/server.ts";
import { lockPath } from "../../src/host/files/own_paths.ts";
import { acquireLock, type Lock } from "../../src/host/process/lock.ts";
import { neutralEnvironment, ROOT, runtimes } from "../runtime/runtimes.ts";
import { tempDirectory } from "../support/temp_directory.ts";
import { openFakeControl } from "./fake_control.ts";

const [node] = runtimes;
const NOBODY = 65_534;

interface Started {
  directory: string;
  control: Control;
  lock: Lock;
}

async function machine() {
  const parent = await tempDirectory();
  const env = { DEWY_RUNTIME_DIR: join(parent, "run") };
  const start = async (name: string, at?: string): Promise<Started> => {
    const directory = at ?? (await tempDirectory());
    const lock = await acquireLock(lockPath(directory), "server");
    onTestFinished(() => lock.release());
    const control = await openFakeControl({ root: directory, name, env });
    return { directory, control, lock };
  };
  return { parent, env, start };
}

describe("findInstances", () => {
  test("finds nothing where dewy never ran", async () => {
    const { env } = await machine();
    expect(await findInstances(env)).toEqual({ instances: [], hidden: 0 });
  });

  test("finds what runs, in the order of the names, and forgets it when it ends", async () => {
    const { env, start } = await machine();
    const web = await start("web");
    const app = await start("app");
    const { instances } = await findInstances(env);
    expect(instances).toMatchObject([
      { name: "app", mode: "server", directory: app.directory, isRunning: true },
      { name: "web", process: { pid: process.pid, dewy: "1.2.3" } },
    ]);
    await web.control.close();
    expect((await findInstances(env)).instances).toMatchObject([{ name: "app" }]);
  });

  test("shows an instance without its lock as not running", async () => {
    const { env, start } = await machine();
    const { lock } = await start("app");
    await lock.release();
    const [found] = (await findInstances(env)).instances;
    expect(found).toMatchObject({ name: "app", mode: "server", isRunning: false });
    expect(found?.process).toBeUndefined();
  });

  test("does not take the process that locks a directory for the one that left an entry", async () => {
    const { env, start } = await machine();
    const { lock, directory } = await start("app");
    await lock.release();
    const contender = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"]);
    onTestFinished(() => void contender.kill("SIGKILL"));
    const other = { ...JSON.parse(await lockText(directory)), pid: contender.pid };
    delete other.startTime;
    await writeLock(directory, JSON.stringify(other));
    const [found] = (await findInstances(env)).instances;
    expect(found).toMatchObject({ isRunning: true, holder: expect.stringContaining("rollback") });
    expect(found?.process).toBeUndefined();
    if (found === undefined) return;
    const asked = askInstance(found, {
      dewy: "1",
      operator: { user: "alice" },
      request: { command: "poll" },
    });
    await expect(asked).rejects.toThrow(/has no control socket/);
  });

  test("ignores entries without a directory, and entries of another name", async () => {
    const { env, start } = await machine();
    const { directory } = await start("app");
    await mkdir(join(env.DEWY_RUNTIME_DIR, "0123456789abcdef"));
    await mkdir(join(env.DEWY_RUNTIME_DIR, "lost+found"));
    expect((await findInstances(env)).instances).toHaveLength(1);
    await rm(join(directory, ".dewy"), { recursive: true });
    expect((await findInstances(env)).instances).toEqual([]);
  });
});

describe.skipIf(process.getuid?.() !== 0)("another user's entry, as root sees it", () => {
  test("counts for an instance of that user", async () => {
    const { env, start } = await machine();
    const { directory } = await start("app");
    await chown(join(env.DEWY_RUNTIME_DIR, instanceId(directory), "instance.json"), NOBODY, NOBODY);
    await chown(lockPath(directory), NOBODY, NOBODY);
    expect((await findInstances(env)).instances).toMatchObject([{ process: { pid: process.pid } }]);
  });

  test("does not lead commands for another instance to a socket of that user", async () => {
    const { env, start } = await machine();
    const { directory } = await start("app");
    await chown(join(env.DEWY_RUNTIME_DIR, instanceId(directory), "instance.json"), NOBODY, NOBODY);
    const [found] = (await findInstances(env)).instances;
    expect(found).toMatchObject({ directory, isRunning: true });
    expect(found?.socket).toBeUndefined();
  });
});

/** The lock as a `dewy rollback` would write it that works on the directory. */
async function lockText(directory: string): Promise<string> {
  const lock = await acquireLock(lockPath(directory), "rollback");
  const text = await readFile(lockPath(directory), "utf8");
  await lock.release();
  return text;
}

async function writeLock(directory: string, text: string): Promise<void> {
  await writeFile(lockPath(directory), text);
}

test("an instance whose socket cannot be opened is found all the same", async () => {
  const env = { DEWY_RUNTIME_DIR: join(await tempDirectory(), "x".repeat(100)) };
  const directory = await tempDirectory();
  const lock = await acquireLock(lockPath(directory), "server");
  const events: unknown[] = [];
  const emit = (event: unknown) => void events.push(event);
  const control = await openFakeControl({ root: directory, env, emit });
  expect(events).toMatchObject([{ fields: { reason: /the path is too long for a socket/ } }]);
  const found = await chooseInstance({ name: "app" }, env);
  const request = { dewy: "1", operator: { user: "alice" }, request: { command: "poll" as const } };
  await expect(askInstance(found, request)).rejects.toThrow(/^Cannot reach dewy \(pid \d+\) in /);
  await control.close();
  await lock.release();
  expect((await findInstances(env)).instances).toEqual([]);
});

describe("chooseInstance", () => {
  test("needs no choice if there is one instance", async () => {
    const { env, start } = await machine();
    await start("app");
    expect((await chooseInstance({}, env)).name).toBe("app");
  });

  test("says that there is none", async () => {
    const { env } = await machine();
    await expect(chooseInstance({}, env)).rejects.toMatchObject({
      code: "not-found",
      message:
        "No instance found: dewy does not run on this machine; for a directory in which it has run, use --directory",
    });
  });

  test("lists several, and chooses by name or directory", async () => {
    const { env, start } = await machine();
    const [app, web] = [await start("app"), await start("web")];
    await expect(chooseInstance({}, env)).rejects.toMatchObject({
      code: "config",
      message: `Several instances are on this machine; choose one with --name or --directory:\n  app  (server)  ${app.directory}\n  web  (server)  ${web.directory}`,
    });
    expect((await chooseInstance({ name: "web" }, env)).directory).toBe(web.directory);
    expect((await chooseInstance({ directory: `${web.directory}/./` }, env)).name).toBe("web");
  });

  test("does not guess between two instances of one name", async () => {
    const { env, start } = await machine();
    const { directory } = await start("app");
    await start("app");
    await expect(chooseInstance({ name: "app" }, env)).rejects.toThrow(
      /^Several instances have the name "app"; choose one with --directory:\n/,
    );
    expect((await chooseInstance({ directory }, env)).directory).toBe(directory);
  });

  test("suggests the nearest name", async () => {
    const { env, start } = await machine();
    await start("checkout");
    await expect(chooseInstance({ name: "chekout" }, env)).rejects.toMatchObject({
      code: "not-found",
      message: expect.stringContaining('"chekout"; did you mean "checkout"?\n  checkout  (server)'),
    });
  });

  test("finds a directory that dewy has left, and no other one", async () => {
    const { env } = await machine();
    const directory = await tempDirectory();
    await expect(chooseInstance({ directory }, env)).rejects.toMatchObject({
      code: "not-found",
      message: expect.stringContaining("it has no .dewy"),
    });
    await expect(chooseInstance({ directory: join(directory, "x") }, env)).rejects.toThrow(
      /the directory does not exist/,
    );
    await (await acquireLock(lockPath(directory), "server")).release();
    expect(await chooseInstance({ directory }, env)).toMatchObject({
      name: directory.split("/").at(-1),
      directory,
      isRunning: false,
    });
  });
});

// Only root can become another user.
describe.skipIf(process.getuid?.() !== 0)("another user", () => {
  const asNobody = async (args: readonly string[], env: Record<string, string>) => {
    const [program = "", ...first] = (await node?.command(
      join(ROOT, "test/control/control_process.ts"),
    )) ?? [""];
    const child = spawn(program, [...first, ...args], {
      cwd: ROOT,
      uid: NOBODY,
      gid: NOBODY,
      env: { ...neutralEnvironment(), ...env },
      stdio: ["pipe", "pipe", "inherit"],
    });
    onTestFinished(() => void child.kill("SIGKILL"));
    const [line] = await once(child.stdout, "data");
    return JSON.parse(String(line).split("\n")[0] ?? "");
  };

  test("learns how many instances there are, and that root may use them", async () => {
    const { parent, env, start } = await machine();
    await chmod(parent, 0o755);
    const { directory } = await start("app");
    await chmod(directory, 0o755);
    expect(await asNobody(["find"], env)).toEqual({ instances: [], hidden: 1 });
    expect(await asNobody(["ask", directory, "poll"], env)).toEqual({
      error: [
        "config",
        `Cannot use the instance in ${directory}: it belongs to another user; run the command as that user, or with sudo`,
      ],
    });
  });

  test("cannot open the socket, not even if it knows the path", async () => {
    const { parent, env, start } = await machine();
    await chmod(parent, 0o755);
    const { directory } = await start("app");
    const path = join(env.DEWY_RUNTIME_DIR, instanceId(directory), "socket");
    const script = `require("node:net").connect(${JSON.stringify(path)}).on("error", (e) => console.log(e.code)).on("connect", () => console.log("open"))`;
    const child = spawn(process.execPath, ["-e", script], { uid: NOBODY, gid: NOBODY, cwd: "/" });
    const [line] = await once(child.stdout, "data");
    expect(String(line).trim()).toBe("EACCES");
  });

  test("has instances that root finds and steers", async () => {
    const [runtime, directory] = [await tempDirectory(), await tempDirectory()];
    for (const path of [runtime, directory]) await chown(path, NOBODY, NOBODY);
    const env = { DEWY_RUNTIME_DIR: join(runtime, "run") };
    expect(await asNobody(["serve", directory], env)).toEqual({ ready: true });
    const found = await chooseInstance({}, env);
    const request = {
      dewy: "1",
      operator: { user: "root" },
      request: { command: "poll" as const },
    };
    expect(await askInstance(found, request)).toMatchObject({ text: "poll is done" });
  });

  test("cannot make dewy use a directory of its own", async () => {
    const { env } = await machine();
    await mkdir(env.DEWY_RUNTIME_DIR);
    await chown(env.DEWY_RUNTIME_DIR, NOBODY, NOBODY);
    const events: unknown[] = [];
    const emit = (event: unknown) => void events.push(event);
    await openFakeControl({ root: await tempDirectory(), env, emit });
    expect(events).toMatchObject([{ fields: { reason: /belongs to user 65534/ } }]);
  });
});
