import { lstat, readdir, readFile, readlink, rename, symlink } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { until } from "../e2e/dewy.ts";
import { runtimes } from "../runtime/runtimes.ts";
import { tempDirectory } from "../support/temp_directory.ts";
import { askOn, rawClient, requestLine, serveControl } from "./control_process_runner.ts";

const [node] = runtimes;
if (node === undefined) throw new Error("Node is not a runtime");

async function answerOf(path: string, text: string): Promise<string> {
  const { socket, answer } = rawClient(path);
  socket.write(text);
  return answer;
}

async function expectAnswers(path: string): Promise<void> {
  const text = await answerOf(path, requestLine("status"));
  expect(JSON.parse(text)).toMatchObject({ kind: "done", status: { name: "app" } });
}

// A process of its own: only it has a socket that another process can open, and descriptors that a child can inherit.
describe.each(runtimes)("the control socket on $name", (runtime) => {
  test("answers, and only its user can open it", async () => {
    const served = await serveControl(runtime);
    await expectAnswers(served.socket);
    const directory = await lstat(served.directory);
    expect((directory.mode & 0o777).toString(8)).toBe("700");
    expect(((await lstat(served.socket)).mode & 0o777).toString(8)).toBe("600");
  });

  test("sends progress and the outcome to a command on the same runtime", async () => {
    const served = await serveControl(runtime);
    expect(await askOn(runtime, served, "poll")).toEqual({
      progress: ["poll by alice"],
      reply: { kind: "done", text: "poll is done", live: "v1.0.0" },
    });
    expect(await askOn(runtime, served, "restart")).toEqual({ error: ["deploy", "it has no app"] });
  });

  test("withstands hostile and broken clients", async () => {
    const served = await serveControl(runtime, {
      env: { CONTROL_TIMEOUTS: JSON.stringify({ clientMs: 1000 }) },
    });
    const { socket } = served;
    expect(await answerOf(socket, "garbage\n")).toContain('"failed"');
    expect(await answerOf(socket, "{}\n")).toContain('"failed"');
    expect(await answerOf(socket, "\0\xff".repeat(1000))).toBe("");
    expect(await answerOf(socket, requestLine("reboot"))).toContain('"failed"');
    expect(await answerOf(socket, requestLine("status").slice(0, 20))).toBe("");
    expect(await answerOf(socket, "")).toBe("");
    const huge = rawClient(socket);
    huge.socket.write("x".repeat(2 * 1024 * 1024));
    expect(await huge.answer).toMatch(/^(?:|.*longer than 1 MiB.*\n)$/);
    for (let count = 0; count < 20; count += 1) {
      const { socket: gone } = rawClient(socket);
      gone.write(requestLine("poll"), () => gone.destroy());
    }
    await expectAnswers(socket);
  });

  test("answers a client that has closed its writing side", async () => {
    const served = await serveControl(runtime);
    const { socket, answer } = rawClient(served.socket);
    socket.end(requestLine("status"));
    expect(await answer).toContain('"done"');
  });

  test("refuses more than 64 connections, and accepts others when they end", async () => {
    const served = await serveControl(runtime);
    const clients = Array.from({ length: 64 }, () => rawClient(served.socket));
    for (const { socket } of clients) socket.write(requestLine("pause"));
    await Promise.all(
      clients.map(({ socket }) => new Promise((resolve) => socket.once("data", resolve))),
    );
    expect(await answerOf(served.socket, requestLine("status"))).toBe("");
    for (const { socket } of clients) socket.destroy();
    await until(
      async () => (await answerOf(served.socket, requestLine("status"))) !== "",
      () => "an answer",
    );
  });

  test("sends signs of life while a command waits", async () => {
    const served = await serveControl(runtime, {
      env: { CONTROL_TIMEOUTS: JSON.stringify({ aliveMs: 50 }) },
    });
    const { socket } = rawClient(served.socket);
    let text = "";
    socket.on("data", (chunk) => {
      text += chunk;
    });
    socket.write(requestLine("pause"));
    await until(
      () => text.includes('{"kind":"alive"}'),
      () => `a sign of life: ${text}`,
    );
  });

  test("is not inherited by a child", async () => {
    const served = await serveControl(runtime);
    const waiting = rawClient(served.socket);
    waiting.socket.write(requestLine("pause"));
    await new Promise((resolve) => waiting.socket.once("data", resolve));
    const own = await socketsOf(served.child.pid ?? 0, served.directory);
    const pid = await served.call<number>("child", "pid");
    expect(own.length).toBe(2);
    expect(await socketsOf(pid, served.directory)).toEqual([]);
    process.kill(pid, "SIGKILL");
  });

  test("tells a waiting command that dewy was killed", async () => {
    const served = await serveControl(runtime);
    const asked = askOn(runtime, served, "pause");
    await served.call("waiting", "waiting");
    served.child.kill("SIGKILL");
    expect(await asked).toEqual({
      error: ["deploy", expect.stringContaining("ended before it answered")],
    });
  });

  test("replaces the socket of a killed dewy, and removes its own at the end", async () => {
    const killed = await serveControl(runtime);
    killed.child.kill("SIGKILL");
    await new Promise((resolve) => killed.child.once("close", resolve));
    expect((await lstat(killed.socket)).isSocket()).toBe(true);
    const { root, runtimeDirectory } = killed;
    const served = await serveControl(runtime, {
      root,
      env: { DEWY_RUNTIME_DIR: runtimeDirectory },
    });
    await expectAnswers(served.socket);
    await served.call("close", "closed");
    expect(await readdir(runtimeDirectory)).toEqual([]);
  });

  test("opens again if its files are removed", async () => {
    const served = await serveControl(runtime, {
      env: { CONTROL_TIMEOUTS: JSON.stringify({ checkMs: 50 }) },
    });
    await rename(served.runtimeDirectory, `${served.runtimeDirectory}.gone`);
    await until(
      async () => (await answerOf(served.socket, requestLine("status"))) !== "",
      () => "an answer",
    );
  });

  test("warns and continues if it cannot be opened", async () => {
    const elsewhere = await tempDirectory();
    const blocked = join(await tempDirectory(), "run");
    await symlink(elsewhere, blocked);
    const served = await serveControl(runtime, {
      env: {
        DEWY_RUNTIME_DIR: blocked,
        CONTROL_TIMEOUTS: JSON.stringify({ checkMs: 20 }),
      },
    });
    const pid = await served.call<number>("child", "pid");
    process.kill(pid, "SIGKILL");
    expect(served.lines().filter((line) => "event" in line)).toMatchObject([
      { event: { type: "warning", important: true, fields: { reason: /is not a directory/ } } },
    ]);
    expect(await readdir(elsewhere)).toEqual([]);
  });

  test.each([
    ["an older command", "2", "the command is too old for it; update the command"],
    ["a newer command", "0", "the running dewy is too old for it; restart it"],
  ])("tells %s which side to update", async (_, protocol, text) => {
    const served = await serveControl(runtime, { env: { CONTROL_PROTOCOL: protocol } });
    const reply = JSON.parse(await answerOf(served.socket, requestLine("status")));
    expect(reply).toMatchObject({ kind: "failed", protocol: Number(protocol), dewy: "1.2.3" });
    expect(reply.message).toContain(text);
    expect(await askOn(runtime, served, "status")).toMatchObject({
      error: ["config", expect.stringContaining(text)],
    });
  });
});

/** The listening socket and its connections, as far as a process has them open. */
async function socketsOf(pid: number, directory: string): Promise<readonly string[]> {
  const table = await readFile("/proc/net/unix", "utf8");
  const rows = table.split("\n").map((row) => row.trim().split(/\s+/));
  const inodes = rows
    .filter(([, , , , , , , path]) => path?.startsWith(directory))
    .map((row) => row[6]);
  const names = await readdir(`/proc/${pid}/fd`);
  const links = await Promise.all(
    names.map((name) => readlink(`/proc/${pid}/fd/${name}`).catch(() => "")),
  );
  return links.filter((link) => inodes.some((inode) => link === `socket:[${inode}]`));
}
