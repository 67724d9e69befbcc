import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { type AskOptions, askInstance } from "../../src/control/client.ts";
import type { FoundInstance } from "../../src/control/instances.ts";
import { tempDirectory } from "../support/temp_directory.ts";

/** An instance whose socket does what a test wants. */
async function instance(onRequest: (socket: Socket, line: string) => void): Promise<FoundInstance> {
  const directory = await tempDirectory();
  const path = join(directory, "socket");
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", (line) => onRequest(socket, String(line)));
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  onTestFinished(() => void server.close());
  const process = { pid: 7, dewy: "1.2.3", since: "2026-05-01T12:00:00.000Z" };
  return { id: "1", name: "app", directory, isRunning: true, process, socket: path };
}

function ask(found: FoundInstance, options: AskOptions = {}, command: "poll" | "status" = "poll") {
  const request = { dewy: "1.2.3", operator: { user: "alice" }, request: { command } };
  return askInstance(found, request, options);
}

const line = (reply: object): string => `${JSON.stringify(reply)}\n`;
const done = { kind: "done", text: "nothing new" };

describe("askInstance", () => {
  test("sends one line with its protocol, and puts the pieces of the answer together", async () => {
    let request = "";
    const progress: string[] = [];
    const found = await instance(async (socket, text) => {
      request = text;
      const answer = line({ kind: "progress", text: "äöü" }) + line(done);
      for (const byte of Buffer.from(answer)) {
        await new Promise((resolve) => socket.write(Buffer.of(byte), resolve));
      }
    });
    const reply = await ask(found, { onProgress: (text) => progress.push(text) });
    expect({ reply, progress }).toEqual({ reply: done, progress: ["äöü"] });
    expect(JSON.parse(request)).toMatchObject({ protocol: 1, operator: { user: "alice" } });
    expect(request.endsWith("\n")).toBe(true);
  });

  test("ignores what a newer dewy has added to the protocol", async () => {
    const found = await instance((socket) => {
      socket.write(line({ kind: "picture", png: "" }) + line({ ...done, extra: 1 }));
    });
    expect(await ask(found)).toEqual(done);
  });

  test("fails with the code of the failure", async () => {
    const failed = (code: string) => line({ kind: "failed", code, message: "no" });
    const codes = async (code: string) => {
      const found = await instance((socket) => void socket.write(failed(code)));
      return ask(found).catch((error) => [error.code, error.message]);
    };
    expect(await codes("not-found")).toEqual(["not-found", "no"]);
    // That dewy was stopped is not that the operator has stopped this command: exit code 4, not 0.
    expect(await codes("aborted")).toEqual(["deploy", "no"]);
    expect(await codes("new-code")).toEqual(["deploy", "no"]);
  });

  test("says so if dewy ends before it answers", async () => {
    const found = await instance((socket) => void socket.destroy());
    await expect(ask(found)).rejects.toMatchObject({
      name: "LostInstanceError",
      code: "deploy",
      message: expect.stringMatching(/ended before it answered; .*finished at the next start$/),
    });
    await expect(ask(found, {}, "status")).rejects.toMatchObject({ code: "timeout" });
  });

  test("gives up after silence, but not while there are signs of life", async () => {
    const found = await instance((socket) => {
      let count = 0;
      const timer = setInterval(() => {
        count += 1;
        socket.write(line({ kind: "alive" }));
        if (count === 8) clearInterval(timer);
      }, 50);
    });
    const startedAt = performance.now();
    await expect(ask(found, { silenceMs: 300 })).rejects.toThrow("has not answered for 0.3 s");
    expect(performance.now() - startedAt).toBeGreaterThan(600);
  });

  test.each([
    ["garbage", "garbage\n"],
    ["an answer without its fields", '{"kind":"done"}\n'],
    ["an endless line", "x".repeat(2 * 1024 * 1024)],
  ])("does not take %s for an answer", async (_, text) => {
    const found = await instance((socket) => void socket.write(text));
    await expect(ask(found)).rejects.toMatchObject({ name: "LostInstanceError" });
  });

  test("stops with its signal, without stopping the command", async () => {
    const stop = new AbortController();
    const found = await instance(() => stop.abort());
    await expect(ask(found, { signal: stop.signal })).rejects.toMatchObject({ code: "aborted" });
    await expect(ask(found, { signal: stop.signal })).rejects.toMatchObject({ code: "aborted" });
  });

  test("tells a socket that is missing from an instance that does not run", async () => {
    const found = await instance(() => {});
    await expect(ask({ ...found, socket: `${found.socket}.gone` })).rejects.toThrow(
      /^Cannot reach dewy \(pid 7\) in .*: it has no control socket/,
    );
    await expect(ask({ ...found, socket: undefined })).rejects.toThrow(/dewy does not run there$/);
  });
});
