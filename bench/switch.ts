// The switches of `dewy server` on each runtime, against Debian's start_server
// (libserver-starter-perl) in the same run: the same compiled app, the same load. Run it with
// `npm run bench -- switch [switches]`. start_server learns of each version by SIGHUP; dewy polls
// once a second, so the time from "seen" is also measured.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdir, mkdtemp, readFile, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { LoadResult } from "../test/e2e/server/load.ts";
import { killAllWith, processesWith } from "../test/e2e/server/processes.ts";
import { makeApp } from "../test/e2e/server/releases.ts";
import { lanes, startLoad } from "../test/e2e/server/start_load.ts";
import { freePorts } from "../test/peers/ports.ts";
import { DENO_RUN } from "../test/runtime/runtimes.ts";

const SWITCHES = Number(process.argv[2] ?? 10);
const TIMEOUT_MS = 30_000;
const PAUSE_MS = 1500;
const ROOT = fileURLToPath(new URL("..", import.meta.url));
const BIN = join(ROOT, "node_modules", ".bin");

interface Contestant {
  name: string;
  /** The command line that supervises an app on a port. */
  command(home: string, port: number): readonly [string, ...string[]];
  /** Makes a version visible. */
  publish(home: string, version: string, supervisor: ChildProcess): Promise<void>;
}

interface Outcome {
  result: LoadResult;
  /** Milliseconds from "visible" to the first answer, and from when dewy saw it. */
  visibleMs: number[];
  seenMs: number[];
  kilobytes: number;
}

const dewy = (name: string, ...cli: [string, ...string[]]): Contestant => ({
  name,
  command: (home, port) => [
    ...cli,
    ...["server", "--registry", `file://${home}/registry`, "--port", `127.0.0.1:${port}`],
    ...["-i", "1s", "--ready-after", "1s", "--bake", "0", "-l", "debug", "-f", "json"],
    ...["--", `${home}/current/bin/app`],
  ],
  publish: async (home, version) => {
    const directory = join(home, "registry", version);
    const name = `app_${process.platform}_${process.arch}.tar.gz`;
    await mkdir(directory, { recursive: true });
    await writeFile(join(directory, `.${name}`), await makeApp("c-server-starter", version));
    await rename(join(directory, `.${name}`), join(directory, name));
  },
});

const contestants: readonly Contestant[] = [
  dewy("dewy, Node", process.env.npm_node_execpath ?? "node", join(ROOT, "dist", "cli.js")),
  dewy("dewy, Deno", join(BIN, "deno"), ...DENO_RUN, join(ROOT, "cli.ts")),
  dewy("dewy, Bun", join(BIN, "bun"), join(ROOT, "cli.ts")),
  {
    name: "start_server",
    command: (home, port) => [
      "start_server",
      `--port=127.0.0.1:${port}`,
      "--interval=1",
      "--",
      `${home}/current/bin/app`,
    ],
    publish: async (home, version, supervisor) => {
      const directory = join(home, "releases", version);
      const archive = join(home, `${version}.tar.gz`);
      await mkdir(directory, { recursive: true });
      await writeFile(archive, await makeApp("c-server-starter", version));
      spawnSync("tar", ["-xzf", archive, "-C", directory]);
      await symlink(directory, join(home, "next"));
      await rename(join(home, "next"), join(home, "current"));
      supervisor.kill("SIGHUP");
    },
  },
];

async function contest(contestant: Contestant): Promise<Outcome> {
  const home = await mkdtemp(join(tmpdir(), "dewy-switch-"));
  const report = join(home, "report");
  const [port = 0] = await freePorts(1);
  try {
    return await race(contestant, home, report, port);
  } finally {
    await killAllWith("APP_REPORT", report);
    await rm(home, { recursive: true, force: true });
  }
}

async function race(
  { command, publish }: Contestant,
  home: string,
  report: string,
  port: number,
): Promise<Outcome> {
  const [program, ...args] = command(home, port);
  // The first version is published before the supervisor starts: there is no process to signal yet.
  const nobody = { kill: () => true } as unknown as ChildProcess;
  await publish(home, "v1.0.0", nobody);
  const supervisor = spawn(program, args, {
    cwd: home,
    env: { ...process.env, APP_REPORT: report },
    stdio: ["ignore", "ignore", "pipe"],
  });
  let log = "";
  supervisor.stderr?.on("data", (chunk) => {
    log += chunk;
  });
  const ended = new Promise<void>((resolve) => supervisor.once("exit", () => resolve()));
  await until(
    async () => (await ask(port)) === "v1.0.0",
    () => `v1.0.0\n${log}`,
  );
  const target = { host: "127.0.0.1", port };
  const load = await startLoad([lanes.keepAlive(target, 4), lanes.perRequest(target, 4)]);
  const outcome = { visibleMs: [] as number[], seenMs: [] as number[] };
  for (let minor = 1; minor <= SWITCHES; minor += 1) {
    // Out of step with dewy's polls.
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS + Math.random() * 1000));
    const version = `v1.${minor}.0`;
    await publish(home, version, supervisor);
    const visible = Date.now();
    const answer = () => load.versions().find((seen) => seen.version === version);
    await until(
      async () => answer() !== undefined,
      () => `${version}\n${log}`,
    );
    const at = answer()?.at ?? 0;
    outcome.visibleMs.push(at - visible);
    const seen = seenAt(log, version);
    if (seen !== undefined) outcome.seenMs.push(at - seen);
  }
  const kilobytes = await memory(report);
  const result = await load.stop();
  supervisor.kill("SIGTERM");
  await ended;
  return { ...outcome, result, kilobytes };
}

function seenAt(log: string, version: string): number | undefined {
  const lines = log.split("\n").filter((line) => line.startsWith("{"));
  const line = lines
    .map((text): Record<string, string> => JSON.parse(text))
    .find((entry) => {
      return entry.msg === "Version resolved" && entry.tag === version;
    });
  return line?.time === undefined ? undefined : Date.parse(line.time);
}

/** The proportional share of all the supervisor's processes, without the app's. */
async function memory(report: string): Promise<number> {
  const all = await processesWith("APP_REPORT", report);
  const sizes = all.map(async ({ pid }) => {
    const command = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
    if (command.split("\0")[0]?.endsWith("/current/bin/app") === true) return 0;
    const rollup = await readFile(`/proc/${pid}/smaps_rollup`, "utf8").catch(() => "");
    return Number(/^Pss: +(\d+)/m.exec(rollup)?.[1] ?? 0);
  });
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}

async function ask(port: number): Promise<string> {
  try {
    const headers = { connection: "close" };
    return await (await fetch(`http://127.0.0.1:${port}/`, { headers })).text();
  } catch {
    return "";
  }
}

async function until(condition: () => Promise<boolean>, what: () => string): Promise<void> {
  const deadline = Date.now() + TIMEOUT_MS;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`did not come: ${what()}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

function median(values: readonly number[]): number | string {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? "-";
}

const rows: Record<string, string | number>[] = [];
for (const contestant of contestants) {
  const [program] = contestant.command("", 0);
  if (spawnSync("which", [program]).status !== 0) {
    console.log(`${contestant.name}: skipped, ${program} is missing (libserver-starter-perl)`);
    continue;
  }
  const { result, visibleMs, seenMs, kilobytes } = await contest(contestant);
  const { failed, retried, sent, latency } = result.total;
  rows.push({
    supervisor: contestant.name,
    "visible→answers ms": median(visibleMs),
    "seen→answers ms": median(seenMs),
    requests: sent,
    lost: failed,
    retried,
    "p50 ms": latency.p50,
    "p99 ms": latency.p99,
    "p99.9 ms": latency.p999,
    "max ms": latency.max,
    "memory MB": Math.round(kilobytes / 1024),
  });
}
console.log(`${SWITCHES} switches each, under the load of 8 clients`);
console.table(rows);
