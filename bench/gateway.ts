// The cost of a fleet: 1,000 machines poll GitHub (a fake, in its own process) through
// `dewy registry`, and directly, at the same pace. Run it with
// `npm run bench -- gateway [interval in s]`. All machines are one Bun process, so that latencies
// at the 99th percentile include its event loop.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createInterface, type Interface } from "node:readline";
import { fileURLToPath } from "node:url";
import { openRegistry, type Registry, systemClock } from "../mod.ts";
import { createHostIo } from "../src/host/io.ts";
import { rotated } from "./support/measure.ts";

const MACHINES = 1000;
const INTERVAL_MS = Number(process.argv[2] ?? 10) * 1000;
const ROUNDS = 3;
const PLATFORMS = [
  { os: "linux", arch: "amd64" },
  { os: "linux", arch: "arm64" },
  { os: "darwin", arch: "arm64" },
];
const TOKEN = "ghp_reader";
const ROOT = fileURLToPath(new URL("..", import.meta.url));

interface Way {
  way: string;
  machines: readonly Registry[];
  /** Requests to GitHub. */
  calls: number;
  counted: number;
  latencies: number[];
  /** CPU time of the gateway. */
  cpuMs: number;
  /** CPU time of this process, which is all machines. */
  machinesCpuMs: number;
}

async function main(): Promise<void> {
  const github = await startGitHub();
  const gateway = await startGateway(github.url);
  try {
    const idle = memoryOf(gateway.child, "VmRSS");
    const registry = `grpc://${gateway.host}?no-tls=true&allow=http`;
    const ways: readonly Way[] = [
      await fleet("dewy registry over gRPC", registry, {}),
      await fleet("dewy registry over Connect", `${registry}&protocol=connect`, {}),
      await fleet("directly", "ghr://acme/app", {
        GITHUB_API_URL: github.url,
        GITHUB_TOKEN: TOKEN,
      }),
    ];
    await github.asked();
    for (let at = 0; at < ROUNDS; at += 1) {
      for (const way of rotated(ways, at)) {
        const before = [cpuOf(gateway.child.pid), cpuOf(process.pid)] as const;
        way.latencies.push(...(await round(way.machines)));
        way.cpuMs += cpuOf(gateway.child.pid) - before[0];
        way.machinesCpuMs += cpuOf(process.pid) - before[1];
        const { calls, counted } = await github.asked();
        way.calls += calls;
        way.counted += counted;
      }
    }
    print(ways, idle, memoryOf(gateway.child, "VmHWM"));
  } finally {
    gateway.child.kill();
    github.child.kill();
  }
}

function print(ways: readonly Way[], idle: number, busy: number): void {
  const polls = MACHINES * ROUNDS;
  console.log(
    `${MACHINES} machines of ${PLATFORMS.length} kinds, a poll every ${INTERVAL_MS / 1000} s, ${ROUNDS} polls each`,
  );
  console.table(
    ways.map(({ way, calls, latencies, cpuMs, machinesCpuMs }) => ({
      way,
      "upstream calls": calls,
      "p50 (ms)": percentile(latencies, 0.5).toFixed(1),
      "p99 (ms)": percentile(latencies, 0.99).toFixed(1),
      "gateway's CPU (ms/poll)": (cpuMs / polls).toFixed(2),
      "machine's CPU (ms/poll)": (machinesCpuMs / polls).toFixed(2),
    })),
  );
  const direct = ways.at(-1);
  for (const { way, calls, latencies } of ways.slice(0, -1)) {
    const callRatio = (calls / (direct?.calls ?? 0)).toPrecision(2);
    const [ours, theirs] = [latencies, direct?.latencies ?? []].map((all) => percentile(all, 0.99));
    const p99Ratio = ((ours ?? 0) / (theirs ?? 0)).toFixed(2);
    console.log(`${way} / directly: upstream calls ${callRatio}, p99 ${p99Ratio}`);
  }
  const ratio = (busy / idle).toFixed(2);
  console.log(
    `gateway's memory, peak with ${2 * MACHINES} connections / idle: ${ratio} (${busy} MB / ${idle} MB)`,
  );
}

/** Every machine is a registry with its own connection, and has polled once. */
async function fleet(way: string, url: string, env: Record<string, string>): Promise<Way> {
  const machines = await Promise.all(
    Array.from({ length: MACHINES }, async (_, at): Promise<Registry> => {
      const platform = PLATFORMS[at % PLATFORMS.length] ?? { os: "linux", arch: "amd64" };
      return openRegistry(url, await createHostIo({ env, platform, fetch }));
    }),
  );
  await round(machines);
  return { way, machines, calls: 0, counted: 0, latencies: [], cpuMs: 0, machinesCpuMs: 0 };
}

/** One poll of every machine, spread over the interval. */
async function round(machines: readonly Registry[]): Promise<number[]> {
  const polls = machines.map(async (machine, at) => {
    await systemClock.sleep((at * INTERVAL_MS) / MACHINES);
    const startedAt = performance.now();
    const answer = await machine.resolve();
    if (answer.kind !== "ready") throw new Error(`expected a release, not ${answer.kind}`);
    return performance.now() - startedAt;
  });
  return Promise.all(polls);
}

interface GitHubChild {
  child: ChildProcess;
  url: string;
  asked(): Promise<{ calls: number; counted: number }>;
}

async function startGitHub(): Promise<GitHubChild> {
  const child = spawn(process.execPath, [`${ROOT}bench/support/github_child.ts`], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const lines = createInterface({ input: child.stdout });
  const url = await nextLine(lines);
  return {
    child,
    url,
    asked: async () => {
      const line = nextLine(lines);
      child.stdin.write("\n");
      return JSON.parse(await line);
    },
  };
}

async function startGateway(api: string): Promise<{ child: ChildProcess; host: string }> {
  const child = spawn(
    "node",
    [
      ...[`${ROOT}dist/cli.js`, "registry", "--upstream", "ghr://acme/app"],
      ...["--port", "0", "--host", "127.0.0.1"],
      ...["--interval", `${INTERVAL_MS / 1000}s`, "--log-format", "json"],
    ],
    {
      env: { ...process.env, GITHUB_API_URL: api, GITHUB_TOKEN: TOKEN },
      stdio: ["ignore", "inherit", "pipe"],
    },
  );
  const { url } = JSON.parse(await nextLine(createInterface({ input: child.stderr })));
  return { child, host: new URL(url).host };
}

async function nextLine(lines: Interface): Promise<string> {
  const [line] = await once(lines, "line");
  return String(line);
}

/** Megabytes, as Linux counts them. */
function memoryOf({ pid }: ChildProcess, what: "VmRSS" | "VmHWM"): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const [, kilobytes] = new RegExp(`^${what}:\\s+(\\d+) kB`, "m").exec(status) ?? [];
  return Math.round(Number(kilobytes) / 1024);
}

/** Milliseconds of CPU so far, as Linux counts them: in hundredths of a second. */
function cpuOf(pid: number | undefined): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const [utime = 0, stime = 0] = stat
    .slice(stat.lastIndexOf(")"))
    .split(" ")
    .slice(12, 14)
    .map(Number);
  return (utime + stime) * 10;
}

function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

await main();
