// The cost of a fleet: 1,000 machines poll GitHub (a fake, in its own process) through
// `dewy registry`, and directly, at the same pace. The machines are processes of Node, which keep
// their connections from round to round. Run it with
// `npm run bench -- gateway [interval in s] [rounds] [processes]`.
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { loadavg } from "node:os";
import { createInterface, type Interface } from "node:readline";
import { fileURLToPath } from "node:url";
import { median, rotated } from "./support/measure.ts";

const MACHINES = 1000;
const [interval = "10", rounds = "5", processes = "4"] = process.argv.slice(2);
const INTERVAL_MS = Number(interval) * 1000;
const ROUNDS = Number(rounds);
const PROCESSES = Number(processes);
const PLATFORMS = [
  { os: "linux", arch: "amd64" },
  { os: "linux", arch: "arm64" },
  { os: "darwin", arch: "arm64" },
];
const TOKEN = "ghp_reader";
const ROOT = fileURLToPath(new URL("..", import.meta.url));

/** Of one poll of every machine. */
interface Round {
  /** Requests to GitHub. */
  calls: number;
  latencies: readonly number[];
  /** CPU time of the gateway. */
  gatewayMs: number;
  /** CPU time of all machines. */
  machinesMs: number;
  /** The delay of the machines' event loops at the 99th percentile: a floor of the latencies. */
  loopMs: number;
}

interface Way {
  way: string;
  fleet: Fleet;
  rounds: Round[];
}

async function main(): Promise<void> {
  const github = await startGitHub();
  const gateway = await startGateway(github.url);
  const ways: Way[] = [];
  try {
    const idle = memoryOf(gateway.child, "VmRSS");
    const registry = `grpc://${gateway.host}?no-tls=true&allow=http`;
    for (const [way, url, env] of [
      ["dewy registry over gRPC", registry, {}],
      ["dewy registry over Connect", `${registry}&protocol=connect`, {}],
      ["directly", "ghr://acme/app", { GITHUB_API_URL: github.url, GITHUB_TOKEN: TOKEN }],
    ] as const) {
      ways.push({ way, fleet: await startFleet(url, env), rounds: [] });
    }
    for (let at = 0; at < ROUNDS; at += 1) {
      for (const { fleet, rounds } of rotated(ways, at)) {
        await github.asked();
        const before = cpuOf(gateway.child.pid);
        const polled = await fleet.round();
        const gatewayMs = cpuOf(gateway.child.pid) - before;
        rounds.push({ ...polled, gatewayMs, calls: (await github.asked()).calls });
      }
    }
    print(ways, idle, memoryOf(gateway.child, "VmHWM"));
  } finally {
    for (const { fleet } of ways) fleet.end();
    gateway.child.kill();
    github.child.kill();
  }
}

function print(ways: readonly Way[], idle: number, busy: number): void {
  console.log(
    `${MACHINES} machines of ${PLATFORMS.length} kinds in ${PROCESSES} processes, a poll every ` +
      `${INTERVAL_MS / 1000} s; medians of ${ROUNDS} rounds; load ${loadavg()[0]?.toFixed(1)}`,
  );
  const costs = ways.map(({ way, rounds }) => {
    const of = (number: (round: Round) => number): number => median(rounds.map(number));
    return {
      way,
      calls: of(({ calls }) => calls),
      p50: of(({ latencies }) => percentile(latencies, 0.5)),
      p99: of(({ latencies }) => percentile(latencies, 0.99)),
      loop: of(({ loopMs }) => loopMs),
      gateway: of(({ gatewayMs }) => gatewayMs) / MACHINES,
      machine: of(({ machinesMs }) => machinesMs) / MACHINES,
    };
  });
  console.table(
    costs.map(({ way, calls, p50, p99, loop, gateway, machine }) => ({
      way,
      "upstream calls": calls,
      "p50 (ms)": p50.toFixed(1),
      "p99 (ms)": p99.toFixed(1),
      "event loop p99 (ms)": loop.toFixed(1),
      "gateway's CPU (ms/poll)": gateway.toFixed(2),
      "machine's CPU (ms/poll)": machine.toFixed(2),
    })),
  );
  const direct = costs.at(-1);
  for (const { way, calls, p99 } of costs.slice(0, -1)) {
    const callRatio = (calls / (direct?.calls ?? 0)).toPrecision(2);
    const p99Ratio = (p99 / (direct?.p99 ?? 0)).toFixed(2);
    console.log(`${way} / directly: upstream calls ${callRatio}, p99 ${p99Ratio}`);
  }
  const ratio = (busy / idle).toFixed(2);
  console.log(
    `gateway's memory, peak with ${2 * MACHINES} connections / idle: ${ratio} (${busy} MB / ${idle} MB)`,
  );
}

interface Fleet {
  /** One poll of every machine, spread over the interval. */
  round(): Promise<Pick<Round, "latencies" | "machinesMs" | "loopMs">>;
  end(): void;
}

/** Every machine has its own connection, and has polled once. */
async function startFleet(registry: string, env: Record<string, string>): Promise<Fleet> {
  const children = await Promise.all(
    Array.from({ length: PROCESSES }, async (_, first) => {
      const part = { registry, env, platforms: PLATFORMS, first, step: PROCESSES };
      const options = JSON.stringify({ ...part, machines: MACHINES });
      const child = spawn("node", [`${ROOT}bench/support/machines_child.mjs`, options], {
        stdio: ["pipe", "pipe", "inherit"],
      });
      const lines = createInterface({ input: child.stdout });
      await nextLine(lines);
      return { child, lines };
    }),
  );
  return {
    async round() {
      const parts = await Promise.all(
        children.map(async ({ child, lines }) => {
          const line = nextLine(lines);
          child.stdin.write(`${INTERVAL_MS}\n`);
          return JSON.parse(await line);
        }),
      );
      return {
        latencies: parts.flatMap(({ latencies }) => latencies),
        machinesMs: parts.reduce((sum, { cpuMs }) => sum + cpuMs, 0),
        loopMs: Math.max(...parts.map(({ loopP99Ms }) => loopP99Ms)),
      };
    },
    end() {
      for (const { child } of children) child.kill();
    },
  };
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

/** Rejects when the child exits. */
function nextLine(lines: Interface): Promise<string> {
  return new Promise((resolve, reject) => {
    const exited = (): void => reject(new Error("a child process has exited"));
    lines.once("close", exited);
    lines.once("line", (line) => {
      lines.off("close", exited);
      resolve(line);
    });
  });
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
