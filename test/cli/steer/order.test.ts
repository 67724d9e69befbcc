import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { run } from "../../../src/cli/run.ts";
import type { ControlHandler } from "../../../src/control/conversations.ts";
import type { SteerCommand } from "../../../src/control/protocol.ts";
import { HostError } from "../../../src/core/error.ts";
import type { Operator } from "../../../src/core/operator.ts";
import { lockPath, statePath } from "../../../src/host/files/own_paths.ts";
import { readState } from "../../../src/host/files/state_file.ts";
import { acquireLock } from "../../../src/host/process/lock.ts";
import { openFakeControl } from "../../control/fake_control.ts";
import { tempDirectory } from "../../support/temp_directory.ts";
import { type FakeProcess, fakeProcess } from "../process.ts";

interface Host {
  /** The environment in which its instances are found. */
  env: Record<string, string>;
  directory: string;
}

async function newHost(): Promise<Host> {
  const directory = await tempDirectory();
  await mkdir(join(directory, "app", ".dewy"), { recursive: true });
  const env = { DEWY_RUNTIME_DIR: join(directory, "run"), SUDO_USER: "alice" };
  return { env, directory: join(directory, "app") };
}

/** An instance whose answers the test gives. */
async function instance(
  steer: ControlHandler["steer"],
  { name = "app", host }: { name?: string; host?: Host } = {},
): Promise<Host> {
  const found = host ?? (await newHost());
  const lock = await acquireLock(lockPath(found.directory), "server");
  onTestFinished(() => lock.release());
  await openSocket(found, steer, name);
  return found;
}

async function openSocket(
  { directory, env }: Host,
  steer: ControlHandler["steer"],
  name = "app",
): Promise<void> {
  const status = () => Promise.reject(new Error("not asked"));
  await openFakeControl({ root: directory, name, env, handler: { status, steer } });
}

async function order({ env }: Host, ...argv: string[]): Promise<{ code: number; io: FakeProcess }> {
  const io = fakeProcess({ env });
  return { code: await run(argv, io), io };
}

const NEVER = async (): Promise<never> => {
  throw new Error("nothing is to be sent");
};

describe("an operator's command", () => {
  test.each<[string[], SteerCommand]>([
    [["rollback"], { command: "rollback" }],
    [["rollback", "v1.0.0", "--dry-run"], { command: "rollback", tag: "v1.0.0", dryRun: true }],
    [["deploy", "1.10"], { command: "deploy", tag: "1.10" }],
    [["pin", "v1.0.0"], { command: "pin", tag: "v1.0.0" }],
    [["unpin"], { command: "unpin" }],
    [["pause"], { command: "pause" }],
    [["resume"], { command: "resume" }],
    [["skip", "v1.0.0"], { command: "skip", tag: "v1.0.0" }],
    [["unskip"], { command: "unskip" }],
    [["unskip", "v1.0.0"], { command: "unskip", tag: "v1.0.0" }],
    [["trust", "accept", "v2.0.0"], { command: "trust accept", tag: "v2.0.0" }],
    [["poll"], { command: "poll" }],
    [["restart"], { command: "restart" }],
  ])("%j is sent as %j", async (argv, command) => {
    const sent: [SteerCommand, Operator][] = [];
    const host = await instance(async (...[one, operator]) => {
      sent.push([one, operator]);
      return { text: "done" };
    });
    expect((await order(host, ...argv, "-m", "checkout fails")).code).toBe(0);
    expect(sent).toEqual([[command, { user: "alice", message: "checkout fails" }]]);
  });

  test("without sudo, it names the user itself", async () => {
    let user = "";
    const host = await instance(async (_, operator) => {
      user = operator.user;
      return { text: "done" };
    });
    await order({ ...host, env: { DEWY_RUNTIME_DIR: host.env.DEWY_RUNTIME_DIR ?? "" } }, "poll");
    expect(user).toMatch(/^(?!alice)\S+/);
  });

  test("shows progress on standard error and the outcome on standard output", async () => {
    const host = await instance(async (_, __, progress) => {
      progress("v1.1.0 starting\u001b[2J");
      return { text: "v1.1.0 runs again; v1.2.0 is skipped", live: "v1.1.0" };
    });
    const { code, io } = await order(host, "rollback");
    expect({ code, out: io.out(), err: io.err() }).toEqual({
      code: 0,
      out: "v1.1.0 runs again; v1.2.0 is skipped\n",
      err: "v1.1.0 starting\\x1b[2J\n",
    });
  });

  test("with --json, prints one object", async () => {
    const host = await instance(async () => ({ text: "v1.1.0 runs", live: "v1.1.0" }));
    const { io } = await order(host, "deploy", "v1.1.0", "--json");
    expect(JSON.parse(io.out())).toEqual({
      kind: "done",
      command: "deploy",
      outcome: "done",
      name: "app",
      directory: host.directory,
      tag: "v1.1.0",
      live: "v1.1.0",
      message: "v1.1.0 runs",
    });
    const dry = await order(host, "rollback", "--dry-run", "--json");
    expect(JSON.parse(dry.io.out())).toMatchObject({ outcome: "dry-run", tag: null });
  });

  test("has the exit code of its failure", async () => {
    const host = await instance(async () => {
      throw new HostError("v1.1.0 did not become ready; v1.2.0 keeps running", { code: "deploy" });
    });
    const { code, io } = await order(host, "rollback");
    expect({ code, out: io.out(), err: io.err() }).toEqual({
      code: 4,
      out: "",
      err: "Error: v1.1.0 did not become ready; v1.2.0 keeps running\n",
    });
    const json = await order(host, "rollback", "--json");
    expect(json.code).toBe(4);
    expect(JSON.parse(json.io.out())).toMatchObject({ kind: "error", code: "deploy" });
  });

  test("interrupted, it ends without stopping dewy", async () => {
    let interrupt = (): void => {};
    let finish = (): void => {};
    const finished = new Promise<void>((resolve) => {
      finish = resolve;
    });
    const host = await instance(async () => {
      interrupt();
      await finished;
      return { text: "done" };
    });
    onTestFinished(finish);
    const io = fakeProcess({ env: host.env });
    interrupt = () => io.kill("SIGINT");
    expect(await run(["rollback", "--json"], io)).toBe(130);
    expect(io.out()).toBe("");
    expect(io.err()).toBe(
      `Stopped waiting: dewy goes on with a rollback that it has received; to look: dewy status --directory ${host.directory}\n`,
    );
  });

  test("interrupted before dewy has the command, it says nothing about dewy", async () => {
    const host = await instance(NEVER);
    const io = fakeProcess({ env: host.env });
    io.kill("SIGINT");
    expect(await run(["rollback"], io)).toBe(130);
    expect(io.err()).not.toContain("goes on");
  });

  test("lists the instances if there are several, and changes nothing", async () => {
    const first = await newHost();
    const other = join(first.directory, "..", "other");
    await mkdir(join(other, ".dewy"), { recursive: true });
    await instance(NEVER, { name: "shop", host: first });
    await instance(NEVER, { name: "blog", host: { ...first, directory: other } });
    const { code, io } = await order(first, "rollback");
    expect(code).toBe(1);
    expect(io.err()).toMatch(/Several instances.*blog.*shop/s);
  });

  test("acts on the directory of an instance that does not run", async () => {
    const host = await newHost();
    const { directory } = host;
    const { code, io } = await order(host, "pause", "--directory", directory, "--json", "-m", "db");
    expect(code).toBe(0);
    const done = { kind: "done", command: "pause", outcome: "offline", directory, live: null };
    expect(JSON.parse(io.out())).toMatchObject(done);
    const { paused } = await readState(statePath(directory));
    expect(paused).toMatchObject({ user: "alice", message: "db" });
    const poll = await order(host, "poll", "--directory", directory);
    expect(poll.code).toBe(3);
    expect(poll.io.err()).toBe(`Error: Cannot poll: dewy does not run in ${directory}; start it\n`);
  });

  test("waits while another command has the lock of the directory", async () => {
    const host = await newHost();
    const lock = await acquireLock(lockPath(host.directory), "pause");
    const waiting = order(host, "pause", "--directory", host.directory);
    await lock.release();
    const { code, io } = await waiting;
    expect({ code, err: io.err() }).toEqual({ code: 0, err: "" });
  });

  test("waits for the socket of a dewy that starts", async () => {
    const host = await newHost();
    const lock = await acquireLock(lockPath(host.directory), "server");
    onTestFinished(() => lock.release());
    const waiting = order(host, "poll", "--directory", host.directory);
    await openSocket(host, async () => ({ text: "done" }));
    expect((await waiting).io.out()).toBe("done\n");
  });

  test("says that nothing runs, and how to reach a directory", async () => {
    const { code, io } = await order(await newHost(), "rollback");
    expect(code).toBe(2);
    expect(io.err()).toMatch(/^Error: No instance found: .*--directory\n$/);
  });
});

describe("a command line", () => {
  test.each([
    [["rollback", ""], "is empty"],
    [["deploy"], "needs a tag"],
    [["pin", "v1.0.0", "v1.1.0"], 'unexpected argument "v1.1.0"'],
    [["pause", "v1.0.0"], 'unexpected argument "v1.0.0"'],
    [["deploy", "v1 0"], "Invalid tag"],
    [["deploy", "v1\u001b[2J"], 'Invalid tag "v1\\x1b[2J"'],
    [["deploy", "v".repeat(201)], "Invalid tag"],
    [["pause", "-m", "a\nb"], "Invalid value for --message"],
    [["pause", "-m", "x".repeat(501)], "at most 500 characters"],
    [["pause", "--dry-run"], "unknown flag --dry-run"],
    [["pause", "--name", "a", "--directory", "b"], "exclude each other"],
    [["poll", "--", "app"], "does not start a program"],
  ])("is refused, and nothing is sent: %j", async (argv, message) => {
    const { code, io } = await order(await instance(NEVER), ...argv);
    expect(code).toBe(1);
    expect(io.err()).toContain(message);
  });
  test("may have a message in any language", async () => {
    const host = await instance(async (_, { message }) => ({ text: message ?? "" }));
    const { io } = await order(host, "pause", "-m", "Störung 決済 🔥");
    expect(io.out()).toBe("Störung 決済 🔥\n");
  });
});
