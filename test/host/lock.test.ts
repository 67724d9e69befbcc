import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile, utimes, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { acquireLock } from "../../src/host/lock.ts";
import { processStartTime } from "../../src/host/process_identity.ts";
import { tempDirectory } from "./temp_directory.ts";

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

  it("lets exactly one of many win a stale lock", async () => {
    const path = await lockPath();
    await writeHolder(path, { pid: await deadPid(), startTime: "1" });
    const script = `
      import { acquireLock } from ${JSON.stringify(new URL("../../src/host/lock.ts", import.meta.url).pathname)};
      try { await acquireLock(process.argv[2], "assets"); process.stdout.write("won\\n"); setInterval(() => {}, 1000); }
      catch (error) { process.stdout.write((error.code === "locked" ? "lost" : String(error)) + "\\n"); }`;
    const file = join(path, "..", "..", "contender.ts");
    await writeFile(file, script);
    const children = Array.from({ length: 6 }, () =>
      spawn("node_modules/.bin/bun", [file, path], { stdio: ["ignore", "pipe", "inherit"] }),
    );
    const lines = await Promise.all(
      children.map(async (child) => String((await once(child.stdout, "data"))[0])),
    );
    for (const child of children) child.kill("SIGKILL");
    expect(lines.sort()).toEqual(["lost\n", "lost\n", "lost\n", "lost\n", "lost\n", "won\n"]);
  });
});
