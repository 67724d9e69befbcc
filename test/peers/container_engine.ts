/**
 * Real container engines: a private Docker service, and Podman with private storage.
 *
 * Debian: `apt-get install -y --no-install-recommends docker.io podman runc netavark aardvark-dns
 * iptables iproute2`.
 *
 * @module
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { createEngine } from "../../src/container/engine/cli_engine.ts";
import type { ContainerEngine, EngineName } from "../../src/container/engine/engine.ts";
import { systemClock } from "../../src/core/clock.ts";
import { neutralEnvironment } from "../runtime/runtimes.ts";
import { missingPeer } from "./missing_peer.ts";

const call = promisify(execFile);

/** An engine without images and containers. */
export interface EnginePeer {
  name: EngineName;
  /** The variables with which programs find it. */
  env: Readonly<Record<string, string>>;
  directory: string;
  /** The engine as dewy drives it. */
  engine: ContainerEngine;
  /** Runs its command line, and returns the standard output. */
  run(...args: string[]): Promise<string>;
  /** Kills the service that runs containers, and `revive` restarts it. Podman has no service. */
  crash(signal?: "SIGKILL" | "SIGTERM"): Promise<void>;
  revive(): Promise<void>;
  /** Stops it with all containers. */
  stop(): Promise<void>;
}

const PROGRAMS: Readonly<Record<EngineName, readonly string[]>> = {
  docker: ["docker", "dockerd", "iptables", "ip", "unshare"],
  podman: ["podman", "runc", "iptables", "ip", "unshare"],
};
const PACKAGES: Readonly<Record<EngineName, string>> = {
  docker: "docker.io iptables iproute2",
  podman: "podman runc netavark aardvark-dns iptables iproute2",
};

/**
 * Returns why an engine cannot run here, or `undefined` if it can. With `DEWY_REQUIRE_PEERS=1` it
 * throws the reason, so that no suite is skipped unnoticed.
 */
export function missingEngine(name: EngineName): string | undefined {
  const missing = missingPeer(PROGRAMS[name], PACKAGES[name]);
  if (missing !== undefined || process.env.DEWY_PRIVATE_MACHINE !== undefined) return missing;
  const reason = "skipped: an engine needs root and private namespaces: npm run test:container";
  if (process.env.DEWY_REQUIRE_PEERS === "1") {
    throw new Error(`DEWY_REQUIRE_PEERS=1, but ${reason}`);
  }
  return reason;
}

/** Docker takes about a second to start. */
export async function startEngine(name: EngineName): Promise<EnginePeer> {
  const directory = await mkdtemp(join(tmpdir(), `${name}-`));
  return name === "docker" ? startDocker(directory) : startPodman(directory);
}

async function startDocker(directory: string): Promise<EnginePeer> {
  const socket = `unix://${join(directory, "docker.sock")}`;
  const log = join(directory, "log");
  let daemon = spawnDaemon(directory, socket, log);
  const untilReady = async (): Promise<void> => {
    try {
      await untilItAnswers(peer, daemon);
    } catch (error) {
      const output = await readFile(log, "utf8").catch(() => "");
      await peer.stop();
      throw new Error(`dockerd did not start: ${String(error)}\n${output.slice(-2000)}`);
    }
  };
  const peer = makePeer("docker", directory, {
    env: { DOCKER_HOST: socket },
    async crash(signal = "SIGKILL") {
      daemon.kill(signal);
      await endOf(daemon);
    },
    async revive() {
      await rm(join(directory, "pid"), { force: true });
      daemon = spawnDaemon(directory, socket, log);
      await untilReady();
    },
    async end() {
      daemon.kill("SIGTERM");
      await endOf(daemon);
    },
  });
  await untilReady();
  return peer;
}

/** The vfs driver copies every image, which is small here, and leaves no mounts behind. */
function spawnDaemon(directory: string, socket: string, log: string): ChildProcess {
  return spawn(
    "/bin/sh",
    [
      ...["-c", 'log=$1; shift; exec dockerd "$@" >>"$log" 2>&1', "sh", log],
      ...["--host", socket],
      ...["--data-root", join(directory, "data")],
      ...["--exec-root", join(directory, "run")],
      ...["--pidfile", join(directory, "pid")],
      ...["--cgroup-parent", `/${process.env.DEWY_PRIVATE_MACHINE?.split("/").at(-1)}`],
      ...["--storage-driver", "vfs", "--shutdown-timeout", "1", "--log-level", "warn"],
    ],
    { stdio: "ignore" },
  );
}

async function startPodman(directory: string): Promise<EnginePeer> {
  const settings = join(directory, "containers.conf");
  const storage = join(directory, "storage.conf");
  // crun and the default limits fail on some test machines.
  await writeFile(
    settings,
    `[containers]
default_ulimits = ["nofile=20000:20000", "nproc=20000:20000"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
tmp_dir = "${directory}/tmp"
[network]
network_backend = "netavark"
network_config_dir = "${directory}/networks"
`,
  );
  await writeFile(
    storage,
    `[storage]
driver = "vfs"
graphroot = "${directory}/root"
runroot = "${directory}/runroot"
`,
  );
  await mkdir(join(directory, "tmp"), { recursive: true });
  const env = { CONTAINERS_CONF: settings, CONTAINERS_STORAGE_CONF: storage };
  const nothing = async (): Promise<void> => {};
  const peer = makePeer("podman", directory, {
    env,
    crash: nothing,
    revive: nothing,
    end: nothing,
  });
  await peer.run("info");
  return peer;
}

interface Service extends Pick<EnginePeer, "env" | "crash" | "revive"> {
  end(): Promise<void>;
}

function makePeer(
  name: EngineName,
  directory: string,
  { env, crash, revive, end }: Service,
): EnginePeer {
  const all = { ...neutralEnvironment(), ...env, HOME: directory };
  const run = async (...args: string[]): Promise<string> => {
    const options = { env: all, timeout: 60_000, maxBuffer: 1 << 26 };
    return (await call(name, args, options)).stdout;
  };
  return {
    name,
    env: { ...env, HOME: directory },
    directory,
    engine: createEngine(name, { env: all, cwd: directory, logins: join(directory, "logins") }),
    run,
    crash,
    revive,
    async stop() {
      const left = (await run("ps", "--all", "--quiet").catch(() => "")).split("\n");
      const ids = left.filter((id) => id !== "");
      if (ids.length > 0) await run("rm", "--force", "--volumes", ...ids).catch(() => "");
      await end();
      // Mounts of a killed service disappear with the private machine.
      await rm(directory, { recursive: true, force: true }).catch(() => {});
    },
  };
}

async function untilItAnswers(peer: EnginePeer, daemon: ChildProcess): Promise<void> {
  const deadline = Date.now() + 30_000;
  for (;;) {
    if (daemon.exitCode !== null) throw new Error(`it ended with ${daemon.exitCode}`);
    const answers = await peer.run("version").then(
      () => true,
      () => false,
    );
    if (answers) return;
    if (Date.now() > deadline) throw new Error("no answer");
    await systemClock.sleep(100);
  }
}

function endOf(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => child.once("exit", () => resolve()));
}

/** Returns the command lines of open event streams that contain `about`. */
export async function eventStreams(name: EngineName, about: string): Promise<string[]> {
  const pids = (await readdir("/proc")).filter((entry) => /^\d+$/.test(entry));
  const commands = await Promise.all(
    pids.map((pid) => readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")),
  );
  const streams = commands.filter((command) => /^(\S*\/)?\w+\0events\0/.test(command));
  return streams.filter((command) => command.includes(name) && command.includes(about));
}
