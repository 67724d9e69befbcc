import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdir, readdir, readFile, rm, stat, symlink, utimes, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import type { DewyEvent } from "../../../src/core/event.ts";
import { bootId, pidNamespace, processStartTime } from "../../../src/host/process/identity.ts";
import { acquireLock, claimPath } from "../../../src/host/process/lock.ts";
import { ROOT, type Runtime, runtimes } from "../../runtime/runtimes.ts";
import { tempDirectory } from "../../support/temp_directory.ts";

async function lockPath(): Promise<string> {
  return join(await tempDirectory(), ".dewy", "lock");
}

async function writeHolder(path: string, over: Record<string, unknown>): Promise<void> {
  const lock = await acquireLock(path, "assets");
  await lock.release();
  const holder = {
    pid: 1,
    host: hostname(),
    command: "assets",
    since: "2026-01-01T00:00:00Z",
    ...over,
  };
  await writeFile(path, JSON.stringify(holder));
}

/** A pid that has just been used and is free again. */
async function deadPid(): Promise<number> {
  const child = spawn("true");
  await once(child, "exit");
  return child.pid ?? 0;
}

describe("acquireLock", () => {
  it("keeps a second one out and says who holds it", async () => {
    const path = await lockPath();
    await acquireLock(path, "assets");
    const error = await acquireLock(path, "server").catch((e: unknown) => e);
    expect(error).toMatchObject({ name: "ConfigError", code: "locked" });
    expect(String(error)).toContain(`dewy assets (pid ${process.pid} on ${hostname()})`);
  });

  it("can be taken again after it was given back", async () => {
    const path = await lockPath();
    await (await acquireLock(path, "assets")).release();
    await (await acquireLock(path, "assets")).release();
    expect(await readdir(join(path, ".."))).toEqual([]);
  });

  it("is taken over from a process that has ended", async () => {
    const path = await lockPath();
    await writeHolder(path, { pid: await deadPid(), startTime: "1" });
    await acquireLock(path, "assets");
    expect(JSON.parse(await readFile(path, "utf8"))).toMatchObject({ pid: process.pid });
  });

  it("is taken over when the pid belongs to another process by now", async () => {
    const path = await lockPath();
    await writeHolder(path, { pid: process.ppid, startTime: `${processStartTime(process.ppid)}0` });
    await acquireLock(path, "assets");
    expect(JSON.parse(await readFile(path, "utf8"))).toMatchObject({ pid: process.pid });
  });

  it("is respected when another machine on a shared directory has touched it lately", async () => {
    const path = await lockPath();
    await writeHolder(path, { host: "another-machine" });
    await expect(acquireLock(path, "assets")).rejects.toThrow("another-machine");
    await utimes(path, 1, 1);
    await acquireLock(path, "assets");
  });

  it("is taken over when the file makes no sense", async () => {
    const path = await lockPath();
    await (await acquireLock(path, "assets")).release();
    await writeFile(path, "{");
    await acquireLock(path, "assets");
  });

  it("is taken over after a restart of this machine, however the clock was set", async () => {
    for (const touchedAt of [1, Date.now() / 1000 + 3600]) {
      const path = await lockPath();
      await writeHolder(path, { pid: process.pid, boot: "another start", pids: pidNamespace() });
      await utimes(path, touchedAt, touchedAt);
      await (await acquireLock(path, "assets")).release();
    }
  });

  it("is respected when a machine of the same name has touched it lately", async () => {
    const path = await lockPath();
    await writeHolder(path, { pid: await deadPid(), boot: "another machine's" });
    await expect(acquireLock(path, "assets")).rejects.toThrow("if that machine is gone");
  });

  it("is taken over from a starter that was killed while it took the lock over", async () => {
    const path = await lockPath();
    const dead = { pid: await deadPid(), startTime: "1" };
    await writeHolder(path, dead);
    const claim = claimPath(path, await readFile(path, "utf8"));
    await writeFile(
      claim,
      JSON.stringify({ ...JSON.parse(await readFile(path, "utf8")), id: "x" }),
    );
    const lock = await acquireLock(path, "assets");
    expect(await readdir(join(path, ".."))).toEqual(["lock"]);
    await lock.release();
  });

  it("waits for a starter that is taking the lock over, and not longer", async () => {
    const path = await lockPath();
    await writeHolder(path, { pid: await deadPid(), startTime: "1" });
    const claim = claimPath(path, await readFile(path, "utf8"));
    const self = { host: hostname(), command: "assets", since: "", pid: process.pid };
    await writeFile(claim, JSON.stringify({ ...self, boot: bootId(), pids: pidNamespace() }));
    const stop = new AbortController();
    const waiting = acquireLock(path, "assets", { signal: stop.signal });
    stop.abort();
    await expect(waiting).rejects.toMatchObject({ code: "aborted" });
    const lock = acquireLock(path, "assets");
    await rm(claim);
    await (await lock).release();
  });

  it("warns when another process has taken it, and leaves the file alone", async () => {
    vi.useFakeTimers({ toFake: ["setInterval"] });
    onTestFinished(() => void vi.useRealTimers());
    const path = await lockPath();
    const events: DewyEvent[] = [];
    const lock = await acquireLock(path, "assets", { emit: (event) => events.push(event) });
    await rm(path);
    await writeHolder(path, { host: "another-machine" });
    await utimes(path, 1, 1);
    await vi.advanceTimersByTimeAsync(60_000);
    await vi.waitFor(() => expect(events).toHaveLength(1));
    expect(events).toMatchObject([{ type: "warning", important: true }]);
    expect((await stat(path)).mtimeMs).toBe(1000);
    await lock.release();
    expect(await readFile(path, "utf8")).toContain("another-machine");
  });

  it("does not follow a link in its place", async () => {
    const path = await lockPath();
    await writeHolder(path, {});
    const elsewhere = join(await tempDirectory(), "lock");
    for (const content of ["precious", undefined]) {
      if (content === undefined) await rm(elsewhere);
      else await writeFile(elsewhere, content);
      await rm(path, { force: true });
      await symlink(elsewhere, path);
      await (await acquireLock(path, "assets")).release();
      expect(await readFile(elsewhere, "utf8").catch(() => undefined)).toBe(content);
    }
  });

  const needsRoot =
    process.getuid?.() === 0 && process.platform === "linux"
      ? ""
      : " [skipped: mounting a read-only disk takes root on Linux]";
  it.skipIf(needsRoot !== "")(`says that the file system is read-only${needsRoot}`, async () => {
    const directory = await tempDirectory();
    execFileSync("mount", ["-t", "tmpfs", "-o", "ro", "tmpfs", directory]);
    onTestFinished(() => void execFileSync("umount", ["-l", directory]));
    await expect(acquireLock(join(directory, ".dewy", "lock"), "assets")).rejects.toMatchObject({
      name: "HostError",
      message: expect.stringContaining("the file system is read-only"),
    });
  });
});

/** A process that takes locks when it is told. */
interface Contender {
  tell(line: string): Promise<string>;
  kill(): Promise<void>;
}

async function startContender(
  runtime: Runtime | undefined,
  ...wrapper: readonly string[]
): Promise<Contender> {
  const command = await runtime?.command(join(ROOT, "test/host/process/lock_contender.ts"));
  const [program = "", ...args] = [...wrapper, ...(command ?? [])];
  const child = spawn(program, args, { cwd: ROOT, stdio: ["pipe", "pipe", "inherit"] });
  onTestFinished(() => void child.kill("SIGKILL"));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async (): Promise<string> => String((await lines.next()).value);
  expect(await next()).toBe("ready");
  return {
    tell: (line) => {
      child.stdin.write(`${line}\n`);
      return next();
    },
    kill: async () => {
      child.kill("SIGKILL");
      await once(child, "close");
    },
  };
}

/** Lets all of them try for the same lock at the same moment, and counts how many got it. */
async function race(contenders: readonly Contender[], path: string): Promise<readonly string[]> {
  const at = Date.now() + 20;
  const answers = await Promise.all(contenders.map((one) => one.tell(`take ${path} ${at}`)));
  await Promise.all(contenders.map((one) => one.tell("release")));
  return answers.sort();
}

const canUnshare =
  process.platform === "linux" && spawnSync("unshare", ["--pid", "--fork", "true"]).status === 0;
const whyNotUnshared = canUnshare ? "" : " [skipped: making a PID namespace takes root on Linux]";

describe.skipIf(!canUnshare)(`in another PID namespace of this machine${whyNotUnshared}`, () => {
  const unshare = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"];
  const [node] = runtimes;

  it("a holder that lives is respected, whatever its pid is here", async () => {
    const path = await lockPath();
    const holder = await startContender(node, ...unshare);
    expect(await holder.tell(`take ${path} 0`)).toBe("won");
    const inside = await startContender(node, ...unshare);
    const outside = await startContender(node);
    const answers = [inside, outside].map((one) => one.tell(`take ${path} 0`));
    expect(await Promise.all(answers)).toEqual(["lost", "lost"]);
    expect(await holder.tell("release")).toBe("released");
    expect(await inside.tell(`take ${path} 0`)).toBe("won");
  });

  it("a holder that was killed is replaced when it has shown no sign of life for half a minute", async () => {
    const path = await lockPath();
    const holder = await startContender(node, ...unshare);
    expect(await holder.tell(`take ${path} 0`)).toBe("won");
    await holder.kill();
    const touchedAt = Date.now() / 1000 - 29;
    await utimes(path, touchedAt, touchedAt);
    const next = await startContender(node, ...unshare);
    expect(await next.tell(`take ${path} 0`)).toBe("won");
  });
});

describe("starters at the same moment", () => {
  const [node, deno, bun] = runtimes;
  it.each([
    ["three on Node", [node, node, node]],
    ["six on three runtimes", [node, deno, bun, node, deno, bun]],
  ])("of which there are %s: exactly one gets a stale lock, in every round", async (_, chosen) => {
    const contenders = await Promise.all(chosen.map((runtime) => startContender(runtime)));
    const one = [...Array.from({ length: chosen.length - 1 }, () => "lost"), "won"];
    const parent = await tempDirectory();
    const dead = { pid: await deadPid(), startTime: "1" };
    for (let round = 0; round < 100; round += 1) {
      const path = join(parent, `round-${round}`, "lock");
      await mkdir(join(path, ".."));
      await writeHolder(path, dead);
      expect(await race(contenders, path), `round ${round}`).toEqual(one);
      expect(await readdir(join(path, ".."))).toEqual([]);
    }
  });
});
