import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { expect, it, onTestFinished } from "vitest";
import {
  isRunning,
  processStartTime,
  recordedStartTime,
} from "../../../src/host/process/processes.ts";

it("isRunning compares the start time as well as the pid", () => {
  const startTime = processStartTime(process.pid);
  expect(isRunning(process.pid, startTime)).toBe(true);
  expect(isRunning(process.pid, `${startTime}0`)).toBe(false);
});

it.skipIf(process.platform !== "linux")(
  "isRunning does not take a process for running that has ended and that nobody waited for",
  async () => {
    // The shell becomes a program that never waits for the child it had.
    const parent = spawn("/bin/sh", ["-c", "sleep 300 & echo $!; exec sleep 300"], {
      stdio: ["ignore", "pipe", "ignore"],
    });
    onTestFinished(() => void parent.kill("SIGKILL"));
    const [line] = (await once(parent.stdout, "data")) as [Buffer];
    const pid = Number(line);
    const startTime = processStartTime(pid);
    expect(isRunning(pid, startTime)).toBe(true);
    // Until then the shell is the parent, and waits for it.
    const program = `/proc/${parent.pid}/comm`;
    await expect.poll(() => readFileSync(program, "utf8")).toBe("sleep\n");
    process.kill(pid, "SIGKILL");
    await expect.poll(() => isRunning(pid, startTime)).toBe(false);
    expect(isRunning(pid, undefined)).toBe(false);
    expect(recordedStartTime(pid)).toBe(startTime);
  },
);

const hasPython = spawnSync("python3", ["-c", ""]).status === 0;
const why = hasPython ? "" : " [skipped: no python3, to end the first thread of a process]";

it.skipIf(process.platform !== "linux" || !hasPython)(
  `isRunning takes a process for running as long as any of its threads is${why}`,
  async () => {
    const script = [
      "import ctypes, threading, time",
      "threading.Thread(target=lambda: time.sleep(300)).start()",
      "ctypes.CDLL(None).pthread_exit(None)",
    ].join("\n");
    const child = spawn("python3", ["-c", script], { stdio: "ignore" });
    onTestFinished(() => void child.kill("SIGKILL"));
    const pid = child.pid ?? 0;
    const startTime = processStartTime(pid);
    await expect.poll(() => readFileSync(`/proc/${pid}/stat`, "utf8")).toContain(") Z ");
    expect(isRunning(pid, startTime)).toBe(true);
    child.kill("SIGKILL");
    await expect.poll(() => isRunning(pid, startTime)).toBe(false);
  },
);
