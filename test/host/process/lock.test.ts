import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdir, readdir, readFile, rm, stat, symlink, utimes, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import type { DewyEvent } from "../../../src/core/event.ts";
import { acquireLock, claimPath, replaceStaleLock } from "../../../src/host/process/lock.ts";
import { bootId, pidNamespace, processStartTime } from "../../../src/host/process/processes.ts";
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

/** The pid of a process that has exited. */
async function deadPid(): Promise<number> {
  const child = spawn("true");
  await once(child, "exit");
  return child.pid ?? 0;
}

describe("acquireLock", () => {
  it("rejects a second process and names the holder", async () => {
    const path = await lockPath();
    await acquireLock(path, "assets");
    const error = await acquireLock(path, "server").catch((e: unknown) => e);
    expect(error).toMatchObject({ name: "ConfigError", code: "locked" });
    expect(String(error)).toContain(`dewy assets (pid ${process.pid} on ${hostname()})`);
  });

  it("can be acquired again after its release", async () => {
    const path = await lockPath();
    await (await acquireLock(path, "assets")).release();
    await (await acquireLock(path, "assets")).release();
    expect(await readdir(join(path, ".."))).toEqual([]);
  });

  it("takes over the lock of a process that has exited", async () => {
    const path = await lockPath();
    await writeHolder(path, { pid: await deadPid(), startTime: "1" });
    await acquireLock(path, "assets");
    expect(JSON.parse(await readFile(path, "utf8"))).toMatchObject({ pid: process.pid });
  });

  it("takes over a lock whose pid has been reused by another process", async () => {
    const path = await lockPath();
    await writeHolder(path, { pid: process.ppid, startTime: `${processStartTime(process.ppid)}0` });
    await acquireLock(path, "assets");
    expect(JSON.parse(await readFile(path, "utf8"))).toMatchObject({ pid: process.pid });
  });

  it("respects a recent heartbeat of another machine on a shared directory", async () => {
    const path = await lockPath();
    await writeHolder(path, { host: "another-machine" });
    await expect(acquireLock(path, "assets")).rejects.toThrow("another-machine");
    await utimes(path, 1, 1);
    await acquireLock(path, "assets");
  });

  it("takes over a lock whose content is not valid", async () => {
    const path = await lockPath();
    await (await acquireLock(path, "assets")).release();
    await writeFile(path, "{");
    await acquireLock(path, "assets");
  });

  it("takes over a lock from before a reboot, whatever the clock says", async () => {
    for (const touchedAt of [1, Date.now() / 1000 + 3600]) {
      const path = await lockPath();
      await writeHolder(path, { pid: process.pid, boot: "another start", pids: pidNamespace() });
      await utimes(path, touchedAt, touchedAt);
      await (await acquireLock(path, "assets")).release();
    }
  });

  it("respects a recent heartbeat of a machine with the same name", async () => {
    const path = await lockPath();
    await writeHolder(path, { pid: await deadPid(), boot: "another machine's" });
    await expect(acquireLock(path, "assets")).rejects.toThrow("if that machine is gone");
  });

  it("takes over the claim of a process that was killed during its takeover", async () => {
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

  it("waits for another process to finish its takeover", async () => {
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

  it("warns when another process has replaced the lock, and leaves the file alone", async () => {
    vi.useFakeTimers({ toFake: ["setInterval"] });
    onTestFinished(() => void vi.useRealTimers());
    const path = await lockPath();
    const events: DewyEvent[] = [];
    const lock = await acquireLock(path, "assets", { emit: (event) => events.push(event) });
    await rm(path);
    await writeHolder(path, { host: "another-machine" });
    await utimes(path, 1, 1);
    await vi.advanceTimersByTimeAsync(60_000);
    await expect.poll(() => events).toHaveLength(1);
    expect(events).toMatchObject([{ type: "warning", important: true }]);
    expect((await stat(path)).mtimeMs).toBe(1000);
    await lock.release();
    expect(await readFile(path, "utf8")).toContain("another-machine");
  });

  it("does not follow a symbolic link in place of the file", async () => {
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
      : " [skipped: mounting a read-only disk requires root on Linux]";
  it.skipIf(needsRoot !== "")(`reports a read-only file system${needsRoot}`, async () => {
    const directory = await tempDirectory();
    execFileSync("mount", ["-t", "tmpfs", "-o", "ro", "tmpfs", directory]);
    onTestFinished(() => void execFileSync("umount", ["-l", directory]));
    await expect(acquireLock(join(directory, ".dewy", "lock"), "assets")).rejects.toMatchObject({
      name: "HostError",
      message: expect.stringContaining("the file system is read-only"),
    });
  });
});

describe("replaceStaleLock", () => {
  it("replaces a lock that still has the content that was judged stale", async () => {
    const { path, own } = await twoLocks("stale");
    expect(await replaceStaleLock(path, "stale", own)).toBe(true);
    expect(await readFile(path, "utf8")).toBe("ours");
  });

  it("leaves a lock alone that another process has taken over since then", async () => {
    const { path, own } = await twoLocks("taken over by another process");
    expect(await replaceStaleLock(path, "stale", own)).toBe(false);
    expect(await readFile(path, "utf8")).toBe("taken over by another process");
    expect((await readdir(join(path, ".."))).sort()).toEqual(["lock", "own"]);
  });

  it("does not create a lock that was released since then", async () => {
    const { path, own } = await twoLocks("stale");
    await rm(path);
    expect(await replaceStaleLock(path, "stale", own)).toBe(false);
    expect(await readdir(join(path, ".."))).toEqual(["own"]);
  });

  async function twoLocks(content: string): Promise<{ path: string; own: string }> {
    const directory = await tempDirectory();
    const [path, own] = [join(directory, "lock"), join(directory, "own")];
    await writeFile(path, content);
    await writeFile(own, "ours");
    return { path, own };
  }
});

/** A process that acquires locks on command. */
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

/** All contenders try to acquire the same lock at the same moment. Returns their sorted answers. */
async function race(contenders: readonly Contender[], path: string): Promise<readonly string[]> {
  const at = Date.now() + 20;
  const answers = await Promise.all(contenders.map((one) => one.tell(`take ${path} ${at}`)));
  await Promise.all(contenders.map((one) => one.tell("release")));
  return answers.sort();
}

const canUnshare =
  process.platform === "linux" && spawnSync("unshare", ["--pid", "--fork", "true"]).status === 0;
const whyNotUnshared = canUnshare
  ? ""
  : " [skipped: making a PID namespace requires root on Linux]";

describe.skipIf(!canUnshare)(`in another PID namespace of this machine${whyNotUnshared}`, () => {
  const unshare = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"];
  const [node] = runtimes;

  it("a live holder keeps its lock, whatever its pid is outside", async () => {
    const path = await lockPath();
    const holder = await startContender(node, "env", "FAST_HEARTBEAT=1", ...unshare);
    expect(await holder.tell(`take ${path} 0`)).toBe("won");
    const inside = await startContender(node, ...unshare);
    const outside = await startContender(node);
    const answers = [inside, outside].map((one) => one.tell(`take ${path} 0`));
    expect(await Promise.all(answers)).toEqual(["lost", "lost"]);
    expect(await holder.tell("release")).toBe("released");
    expect(await inside.tell(`take ${path} 0`)).toBe("won");
  });

  it("a killed holder is replaced after half a minute without a heartbeat", async () => {
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

const ROUNDS = process.env.DEWY_SOAK === "1" ? 300 : 40;

describe("processes that start at the same moment", () => {
  it("exactly one takes over a stale lock in every round", async () => {
    const chosen = Array.from({ length: 6 }, (_, nth) => runtimes[nth % runtimes.length]);
    const contenders = await Promise.all(chosen.map((runtime) => startContender(runtime)));
    const one = ["lost", "lost", "lost", "lost", "lost", "won"];
    const parent = await tempDirectory();
    const dead = { pid: await deadPid(), startTime: "1" };
    for (let round = 0; round < ROUNDS; round += 1) {
      const path = join(parent, `round-${round}`, "lock");
      await mkdir(join(path, ".."));
      await writeHolder(path, dead);
      expect(await race(contenders, path), `round ${round}`).toEqual(one);
      expect(await readdir(join(path, ".."))).toEqual([]);
    }
  });
});
