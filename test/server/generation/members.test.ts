import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { processStartTime, recordedStartTime } from "../../../src/host/process/processes.ts";
import { socketInode, socketLink } from "../../../src/host/sockets/socket_table.ts";
import {
  GENERATION_VARIABLE,
  GenerationMembers,
  ID_VARIABLE,
  ROOT_VARIABLE,
} from "../../../src/server/generation/members.ts";
import { killAllWith } from "../../e2e/server/processes.ts";
import { eventually } from "../../host/sockets/case_process.ts";
import { ROOT, run as runProgram, runtimes } from "../../runtime/runtimes.ts";
import { tempDirectory } from "../../support/temp_directory.ts";

const PYTHON = "/usr/bin/python3";
/** What Python says about where a process is to go, in the order of the words after it. */
const STEPS = `
import ctypes, os, sys, time

def erase():
    # As nginx does, which writes its title there. https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html: env_start
    fields = open("/proc/self/stat").read().rpartition(")")[2].split()
    start, end = int(fields[47]), int(fields[48])
    ctypes.memset(start, 0, end - start)

def daemon():
    if os.fork(): os._exit(0)
    os.setsid()
    if os.fork(): os._exit(0)

def join():
    with open(os.environ["CGROUP"] + "/cgroup.procs", "w") as file: file.write(str(os.getpid()))

def child():
    if os.fork(): time.sleep(300)
    os.setsid()

sys.stdin.readline()
for step in sys.argv[1:]:
    if step.startswith("close"): os.close(int(step[5:]))
    else: globals()[step]()
print(os.getpid(), flush=True)
time.sleep(300)
`;

/** One start of an app, and the process at the end of its steps. */
interface Started {
  id: string;
  main: ChildProcess & { pid: number };
  pid: number;
}

/** A directory with generations of this dewy; all of their processes end with the test. */
async function world(
  held: readonly Server[] = [],
  inherited = false,
): Promise<{
  root: string;
  members: GenerationMembers;
  start(steps: readonly string[], how?: How): Promise<Started>;
}> {
  const root = await tempDirectory();
  const sockets = held.map((server) => ({ link: linkOf(server), inherited }));
  const members = new GenerationMembers(root, sockets);
  let count = 0;
  return {
    root,
    members,
    start: async (steps, how = {}) => {
      count += 1;
      const id = how.id ?? members.idOf(count);
      const env = {
        [ROOT_VARIABLE]: how.root ?? root,
        [GENERATION_VARIABLE]: String(count),
        [ID_VARIABLE]: id,
        ...(how.cgroup === undefined ? {} : { CGROUP: how.cgroup }),
      };
      const { sockets = [] } = how;
      const started = await run(steps, how.env ?? env, [...sockets.map(fdOf), "pipe"]);
      if (how.isOurs === false) return { id, ...started };
      onTestFinished(async () => {
        for (const { pid } of await members.of(id)) process.kill(pid, "SIGKILL");
      });
      members.add({
        id,
        pid: started.main.pid,
        startTime: started.startTime,
        channel: started.channel,
        sockets: sockets.map((server) => ({
          link: linkOf(server),
          inherited: how.inherited ?? false,
        })),
      });
      return { id, ...started };
    },
  };
}

interface How {
  id?: string;
  root?: string;
  env?: Readonly<Record<string, string>>;
  sockets?: readonly Server[];
  /** Whether the sockets came from systemd or a server-starter. */
  inherited?: boolean;
  /** The control group that it can join. */
  cgroup?: string;
  /** `false`: another dewy has started it. */
  isOurs?: boolean;
}

const MARK = "TEST_OF_MEMBERS";

async function run(
  steps: readonly string[],
  env: Readonly<Record<string, string>>,
  descriptors: readonly (number | "pipe")[],
): Promise<Omit<Started, "id"> & { startTime: string; channel: string | undefined }> {
  const mark = randomUUID();
  onTestFinished(() => killAllWith(MARK, mark));
  const main = spawn(PYTHON, ["-c", STEPS, ...steps], {
    env: { ...env, [MARK]: mark },
    stdio: ["pipe", "pipe", "inherit", ...descriptors],
    detached: true,
  });
  const startTime = recordedStartTime(main.pid ?? 0) ?? "";
  const inode = socketInode(2 + descriptors.length, main.pid);
  // It may have ended by the time that a busy machine lets us look, so it waits for this.
  main.stdin?.end("go\n");
  const [line] = (await once(main.stdout as NonNullable<typeof main.stdout>, "data")) as [Buffer];
  const pid = Number(line);
  // One that has overwritten its environment is not found by that.
  onTestFinished(() => {
    process.kill(pid, "SIGKILL");
  });
  return {
    main: Object.assign(main, { pid: main.pid ?? 0 }),
    pid,
    startTime,
    channel: inode === undefined ? undefined : socketLink(inode),
  };
}

async function listener(): Promise<Server> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  return server;
}

function fdOf(server: Server): number {
  return (server as unknown as { _handle: { fd: number } })._handle.fd;
}

function linkOf(server: Server): string {
  return socketLink(socketInode(fdOf(server)) ?? "");
}

async function pidsOf(members: GenerationMembers, { id }: Pick<Started, "id">): Promise<number[]> {
  return (await members.of(id)).map(({ pid }) => pid);
}

/** What it finds once the processes on the way to its last one have ended. */
async function expectOnly(members: GenerationMembers, started: Started): Promise<void> {
  await expect.poll(() => pidsOf(members, started)).toEqual([started.pid]);
}

describe("GenerationMembers.of", () => {
  it.each([
    ["put itself into the background", ["daemon"]],
    ["put itself into the background and overwrote its environment", ["daemon", "erase"]],
    ["has a session and an environment of its own", ["child", "erase"]],
    ["did so, and closed its readiness descriptor", ["child", "erase", "close3"]],
  ])("finds a process that %s", async (_, steps) => {
    const { members, start } = await world();
    const started = await start(steps);
    expect(await pidsOf(members, started)).toContain(started.pid);
  });

  it("finds the children of a background process", async () => {
    const { members, start } = await world();
    const started = await start(["daemon", "erase", "child", "close3"]);
    await expect.poll(() => pidsOf(members, started)).toHaveLength(2);
  });

  it("finds a process that only a listening socket of dewy identifies", async () => {
    const { members, start } = await world();
    const sockets = [await listener()];
    const started = await start(["daemon", "erase", "close4"], { sockets });
    await expectOnly(members, started);
  });

  it("assigns such a process to the newest generation that existed when it was started", async () => {
    const { members, start } = await world();
    const sockets = [await listener()];
    const steps = ["daemon", "erase", "close4"];
    const [before, after] = [await start(steps, { sockets }), await start(steps, { sockets })];
    await expectOnly(members, before);
    await expectOnly(members, after);
  });

  it("assigns a background process of the next generation to that generation", async () => {
    const { members, start } = await world();
    const sockets = [await listener()];
    const before = await start([], { sockets });
    const after = await start(["daemon", "erase"], { sockets });
    await expectOnly(members, before);
    await expectOnly(members, after);
  });

  it("finds it by sockets of systemd only if its environment is gone", async () => {
    const { members, start } = await world();
    const sockets = [await listener()];
    const how = { sockets, inherited: true };
    const started = await start(["daemon", "erase", "close4"], how);
    const sidecar = await start([], { sockets, env: { A: "of the same service" }, isOurs: false });
    await expectOnly(members, started);
    process.kill(sidecar.pid, 0);
  });

  it("does not claim a process that has reused the pid of an exited main process", async () => {
    const { members, start } = await world();
    const { pid } = (await start([], { env: {}, isOurs: false })).main;
    const startTime = String(Number(processStartTime(pid)) - 1);
    const gone = { id: "gone", pid, startTime, channel: undefined, sockets: [] };
    members.add(gone);
    expect(await pidsOf(members, gone)).toEqual([]);
  });

  it("does not find the ready command, whose environment is that of the app without the id", async () => {
    const { root, members, start } = await world();
    const started = await start([]);
    const env = { [ROOT_VARIABLE]: root, [GENERATION_VARIABLE]: "1" };
    const readyCommand = await start([], { env, isOurs: false });
    await expectOnly(members, started);
    process.kill(readyCommand.pid, 0);
  });

  it("finds orphaned processes that dewy has adopted as the first process of a container", async () => {
    const { members, start } = await world();
    const started = await start([]);
    const adopted = await start([], { id: started.id, isOurs: false });
    const pids = [started.pid, adopted.pid].sort((a, b) => a - b);
    await expect
      .poll(async () => (await pidsOf(members, started)).sort((a, b) => a - b))
      .toEqual(pids);
  });

  const nowhere = new GenerationMembers("/nowhere");
  const noCgroup = nowhere.makeCgroup("test") === undefined;
  nowhere.remove("test");
  it.skipIf(noCgroup)(
    `finds a process that only its control group identifies${noCgroup ? ": dewy may make none here" : ""}`,
    async () => {
      const { members, start } = await world();
      const started = await start(["join", "daemon", "erase", "close3"], {
        cgroup: members.makeCgroup(members.idOf(1)) ?? "",
      });
      await expectOnly(members, started);
      process.kill(started.pid, "SIGKILL");
      await expect.poll(() => pidsOf(members, started)).toEqual([]);
      members.remove(started.id);
      expect(members.makeCgroup(started.id), "it was removed").toBeDefined();
      members.remove(started.id);
    },
  );

  it("finds nothing once all have exited", async () => {
    const { members, start } = await world();
    const started = await start(["daemon"]);
    process.kill(started.pid, "SIGKILL");
    await eventually(async () => (await pidsOf(members, started)).length === 0);
  });
});

async function earlierOnes(members: GenerationMembers): Promise<Record<string, number[]>> {
  const found = await members.ofEarlierDewys();
  return Object.fromEntries([...found].map(([id, all]) => [id, all.map(({ pid }) => pid)]));
}

describe("GenerationMembers.ofEarlierDewys", () => {
  it("finds what an earlier dewy process has started, and nothing of this one", async () => {
    const { members, start } = await world();
    const earlier = await start(["daemon"], { id: "earlier", isOurs: false });
    await start(["daemon"]);
    await expect.poll(() => earlierOnes(members)).toEqual({ earlier: [earlier.pid] });
  });

  it.each([
    ["in dewy's own holder", false],
    ["of systemd", true],
  ])("finds a process without environment that has the sockets %s", async (_, inherited) => {
    const server = await listener();
    const { members, start } = await world([server], inherited);
    const how = { sockets: [server], isOurs: false };
    const earlier = await start(["daemon", "erase"], how);
    if (inherited) await start(["daemon"], { ...how, env: { A: "of the same service" } });
    await expect.poll(() => earlierOnes(members)).toEqual({ "": [earlier.pid] });
  });

  it.each(runtimes)(
    "does not take what has started dewy for an orphan, whatever signs that has, on $name",
    async (runtime) => {
      const root = await tempDirectory();
      const marks = { [ROOT_VARIABLE]: root, [GENERATION_VARIABLE]: "1", [ID_VARIABLE]: "own" };
      const command = await runtime.command(
        join(ROOT, "test/server/generation/earlier_dewys_case.ts"),
      );
      const script = '"$@"; exit $?';
      const { stdout, stderr } = await runProgram("/bin/sh", ["-c", script, "sh", ...command], {
        env: marks,
      });
      expect(stdout.trim(), stderr).toBe("[]");
    },
  );

  it("finds nothing of another directory", async () => {
    const { members, start } = await world();
    await start(["daemon"], { root: await tempDirectory(), id: "other", isOurs: false });
    expect(await members.ofEarlierDewys()).toEqual(new Map());
  });

  it.runIf(process.getuid?.() === 0)(
    "finds nothing of a container that has another directory at the same path",
    async () => {
      const { root, members } = await world();
      const env = { [ROOT_VARIABLE]: root, [GENERATION_VARIABLE]: "1", [ID_VARIABLE]: "theirs" };
      const script = `mount -t tmpfs none "$(dirname "$0")" && mkdir "$0" && echo mounted; exec sleep 300`;
      // By another parent: what the test itself has started is taken for a helper of dewy's.
      const words = ["--fork", "unshare", "-m", "/bin/sh", "-c", script, root];
      const container = spawn("setsid", words, {
        env: { ...process.env, ...env, [MARK]: root },
        detached: true,
        stdio: ["ignore", "pipe", "inherit"],
      });
      onTestFinished(() => killAllWith(MARK, root));
      await once(container.stdout, "data");
      expect([...(await members.ofEarlierDewys()).keys()]).toEqual([]);
    },
  );
});
