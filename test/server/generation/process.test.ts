import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { groupRuns, signalGroup, signalProcess } from "../../../src/host/process/processes.ts";
import {
  type GenerationOptions,
  type GenerationProcess,
  startGeneration,
} from "../../../src/server/generation/process.ts";
import { eventually } from "../../host/sockets/case_process.ts";
import { tempDirectory } from "../../support/temp_directory.ts";

const PATH = process.env.PATH ?? "/usr/bin:/bin";

/** What it wrote, and the process. */
async function start(
  command: readonly [string, ...string[]],
  over: Partial<GenerationOptions> = {},
): Promise<GenerationProcess & { output(): string }> {
  let heard = "";
  const runDirectory = await tempDirectory();
  const generation = await startGeneration({
    command,
    cwd: "/",
    env: { PATH },
    sockets: [],
    generation: 1,
    runDirectory,
    prefix: "",
    onOutput: (chunk) => {
      heard += new TextDecoder().decode(chunk);
    },
    ...over,
  });
  onTestFinished(() => signalGroup(generation.pid, "SIGKILL"));
  return { ...generation, output: () => heard };
}

function shell(script: string, over: Partial<GenerationOptions> = {}): ReturnType<typeof start> {
  return start(["/bin/sh", "-c", script], over);
}

async function processesNaming(word: string): Promise<string[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const lines = pids.map((pid) => readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => ""));
  return (await Promise.all(lines)).filter((line) => line.includes(word));
}

describe("startGeneration", () => {
  it("loses no output that a program wrote before it exited", async () => {
    const generation = await shell("head -c 3000000 /dev/zero | tr '\\0' x; echo end >&2; exit 3");
    expect(await generation.exited).toEqual({ code: 3, signal: null });
    expect(generation.output().length).toBe(3_000_004);
    expect(generation.output()).toContain("end\n");
  });

  it("resolves although a background process keeps the output open", async () => {
    const generation = await shell("sleep 60 & echo started");
    expect(await generation.exited).toEqual({ code: 0, signal: null });
    expect(generation.output()).toBe("started\n");
    expect(groupRuns(generation.pid)).toBe(true);
    signalGroup(generation.pid, "SIGKILL");
    await eventually(() => !groupRuns(generation.pid));
  });

  it("does not count a zombie", async () => {
    const script = `import os, time
pid = os.fork()
if pid == 0:
    os.setpgid(0, 0)
    os._exit(0)
print(pid, flush=True)
time.sleep(60)`;
    const parent = spawn("/usr/bin/python3", ["-c", script]);
    onTestFinished(() => void parent.kill("SIGKILL"));
    const [line] = (await once(parent.stdout, "data")) as [Buffer];
    await eventually(() => !groupRuns(Number(line)));
    expect(process.kill(Number(line), 0)).toBe(true);
  });

  it("reports the signal that killed it, and signals the main process or the whole group", async () => {
    const generation = await shell("trap 'exit 7' TERM; sleep 60 & echo deaf; wait");
    await eventually(() => generation.output() !== "");
    signalProcess(generation.pid, "SIGTERM");
    expect(await generation.exited).toEqual({ code: 7, signal: null });
    expect(groupRuns(generation.pid)).toBe(true);
    const other = await shell("sleep 60 & wait");
    signalGroup(other.pid, "SIGKILL");
    expect(await other.exited).toEqual({ code: null, signal: "SIGKILL" });
  });

  it("resolves when the program reports its readiness", async () => {
    const generation = await shell('eval "echo READY=1 >&$DEWY_READY_FD"; sleep 60');
    await generation.ready;
  });

  it("receives READY=1 of sd_notify, and nothing else", async () => {
    const go = join(await tempDirectory(), "go");
    const say = (text: string): string => `send(S, "${text}", 0, $to) or die $!; print "sent\\n";`;
    const script = `$| = 1; socket(S, AF_UNIX, SOCK_DGRAM, 0); $to = sockaddr_un($ENV{NOTIFY_SOCKET});
${say("STATUS=not READY=1\\nMAINPID=1")} select(undef, undef, undef, 0.01) until -e "${go}"; ${say("STATUS=on\\nREADY=1\\n")} sleep 60`;
    const generation = await start(["perl", "-MSocket", "-e", script], { notifySocket: true });
    let isReady = false;
    void generation.ready.then(() => {
      isReady = true;
    });
    await eventually(() => generation.output().includes("sent"));
    expect(isReady).toBe(false);
    await writeFile(go, "");
    await generation.ready;
  });

  it("leaves no socket and no listener behind", async () => {
    const runDirectory = await tempDirectory();
    const generation = await shell("exit 0", { notifySocket: true, runDirectory });
    await generation.exited;
    await eventually(async () => (await readdir(runDirectory)).length === 0);
    await eventually(async () => (await processesNaming(runDirectory)).length === 0);
  });

  it("starts a program without NOTIFY_SOCKET if its path would be too long", async () => {
    const runDirectory = join(await tempDirectory(), "x".repeat(100));
    await mkdir(runDirectory);
    const script = `echo "socket \${NOTIFY_SOCKET-none}"`;
    const generation = await shell(script, { notifySocket: true, runDirectory });
    await generation.exited;
    expect(generation.output()).toBe("socket none\n");
  });

  it("passes no variable of dewy's own sockets and service manager", async () => {
    const env = {
      PATH,
      KEPT: "yes",
      LISTEN_FDS: "2",
      LISTEN_PID: "1",
      SERVER_STARTER_PORT: "80=3",
      NOTIFY_SOCKET: "/run/x",
      DEWY_HOLDER: "1",
    };
    const generation = await start(["/usr/bin/env"], { env });
    await generation.exited;
    const names = generation
      .output()
      .trim()
      .split("\n")
      .map((line) => line.split("=")[0]);
    expect(names.filter((name) => name !== "PWD" && name !== "_").sort()).toEqual([
      "DEWY_READY_FD",
      "KEPT",
      "PATH",
    ]);
  });

  it("resets ignored signals", async () => {
    const generation = await start(["/bin/grep", "SigIgn", "/proc/self/status"]);
    await generation.exited;
    const ignored = Number.parseInt(generation.output().split("\t")[1] ?? "", 16);
    // SIGHUP 1, SIGINT 2, SIGQUIT 3, SIGUSR1 10, SIGTERM 15
    expect(ignored & 0b100_0010_0000_0111).toBe(0);
  });

  it.runIf(process.getuid?.() === 0)("runs as another user, with that user's groups", async () => {
    const generation = await start(["/usr/bin/id"], { user: { uid: 65_534, gid: 65_534 } });
    await generation.exited;
    expect(generation.output()).toMatch(/^uid=65534\S* gid=65534\S* groups=65534\S*\n$/);
  });

  it("reports that the system does not execute a program, without blaming the release", async () => {
    const error = await start(["/no/such/program"]).catch((e: unknown) => e);
    expect(error).toMatchObject({
      fault: "host",
      message: expect.stringMatching(
        /^Cannot start "\/no\/such\/program": the system does not execute it \(.*not found\)$/i,
      ),
    });
  });

  it("does not misread an exit code of 127 of the program itself", async () => {
    const generation = await shell("sleep 0.2; exit 127");
    expect(await generation.exited).toEqual({ code: 127, signal: null });
    const quick = await shell("exit 126");
    expect(await quick.exited).toEqual({ code: 126, signal: null });
  });
});
