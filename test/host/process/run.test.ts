import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { isRunning } from "../../../src/host/process/processes.ts";
import { run } from "../../../src/host/process/run.ts";
import { runCase, runtimes } from "../../runtime/runtimes.ts";
import { tempDirectory } from "../../support/temp_directory.ts";

const base = { cwd: "/", env: { PATH: process.env.PATH }, timeoutMs: 20_000 };

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

describe("run", () => {
  it("returns exit code, standard output and standard error", async () => {
    const result = await run({
      ...base,
      command: ["/bin/sh", "-c", "echo out; echo err >&2; exit 3"],
    });
    expect(result).toMatchObject({
      exitCode: 3,
      stdout: "out\n",
      stderr: "err\n",
      timedOut: false,
    });
  });

  it("passes the given environment and nothing else", async () => {
    const env = { PATH: base.env.PATH, DEWY_TAG: "v1.0.0" };
    const result = await run({
      ...base,
      env,
      command: ["/bin/sh", "-c", "env | grep -c SECRET; echo $DEWY_TAG"],
    });
    expect(result.stdout).toBe("0\nv1.0.0\n");
  });

  it("keeps only the end of long output", async () => {
    const result = await run({ ...base, command: ["/bin/sh", "-c", "seq 1 200000; echo the end"] });
    expect(result.stdout.length).toBeLessThanOrEqual(64 * 1024);
    expect(result.stdout.endsWith("the end\n")).toBe(true);
  });

  it("stops the whole process group on timeout", async () => {
    const { result, timer, lines } = runOnFakeTime("sleep 300 & echo $!; wait");
    await until(() => lines.length === 1);
    const pid = Number(lines[0]);
    timer.advanceTimersByTime(base.timeoutMs);
    expect(await result).toMatchObject({ timedOut: true, exitCode: null });
    await until(() => !isAlive(pid));
  });

  it.each(runtimes)(
    "kills a process that ignores SIGTERM if dewy exits meanwhile, on $name",
    async (runtime) => {
      const { code, stdout, stderr } = await runCase(runtime, "test/host/process/run_exit_case.ts");
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      await until(() => !isAlive(Number(stdout)));
    },
  );

  it("kills a process that ignores SIGTERM for five seconds", async () => {
    const script = "trap 'echo ignored' TERM; echo started; while :; do sleep 0.05; done";
    const { result, timer, lines } = runOnFakeTime(script);
    await until(() => lines.length === 1);
    timer.advanceTimersByTime(base.timeoutMs);
    await until(() => lines.length === 2);
    timer.advanceTimersByTime(5_000);
    expect(await result).toMatchObject({ timedOut: true, exitCode: null });
  });

  it("stops the process on abort", async () => {
    const stop = new AbortController();
    const running = run({ ...base, signal: stop.signal, command: ["sleep", "300"] });
    stop.abort();
    await expect(running).rejects.toMatchObject({ code: "aborted" });
  });

  it("does not wait for a daemon that keeps the output open", async () => {
    const directory = await tempDirectory();
    const script = `sleep 300 & echo $! > ${join(directory, "pid")}; echo started`;
    const result = await run({ ...base, command: ["/bin/sh", "-c", script] });
    const pid = Number(await readFile(join(directory, "pid"), "utf8"));
    expect(result).toMatchObject({ exitCode: 0, stdout: "started\n" });
    expect(isAlive(pid)).toBe(true);
    process.kill(pid, "SIGKILL");
  });

  it("names the program that cannot be started", async () => {
    await expect(run({ ...base, command: ["/no/such/program"] })).rejects.toThrow(
      "/no/such/program",
    );
  });
});

/** Runs a shell script whose timeouts pass when the test says so. */
function runOnFakeTime(script: string) {
  const timer = vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  onTestFinished(() => void vi.useRealTimers());
  const lines: string[] = [];
  const onLine = (line: string): void => void lines.push(line);
  const result = run({ ...base, command: ["/bin/sh", "-c", script], onLine });
  return { result, timer, lines };
}

/** A zombie counts as gone: nobody but its parent can remove it. */
function isAlive(pid: number): boolean {
  return isRunning(pid, undefined) && !isZombie(pid);
}

function isZombie(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).startsWith("Z");
  } catch {
    return true;
  }
}
