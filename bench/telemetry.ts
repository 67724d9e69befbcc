// What telemetry costs: `dewy server` behind its proxy, with --telemetry and a scrape every 5 s, and
// with a collector as well, against the same without. CPU and memory while idle, then requests per
// second through the proxy. The order rotates from round to round. Needs haproxy (as the app) and
// wrk. Run it with `npm run bench -- telemetry [rounds] [idle seconds] [load seconds]`.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { killAllWith, processesWith } from "../test/e2e/server/processes.ts";
import { serveCollector } from "../test/fakes/collector.ts";
import { freePorts } from "../test/peers/ports.ts";
import { median, rotated } from "./support/measure.ts";

const [ROUNDS = 4, IDLE_SECONDS = 30, LOAD_SECONDS = 10] = process.argv.slice(2).map(Number);
const SCRAPE_MS = 5_000;
const WARM_UP_MS = 8_000;
const CONNECTIONS = 32;
const CLOCK_TICKS = 100;
const TIMEOUT_MS = 30_000;
const CLI = fileURLToPath(new URL("../dist/cli.js", import.meta.url));

interface Way {
  name: string;
  isMeasured: boolean;
  isSent: boolean;
  samples: Sample[];
}

interface Sample {
  /** Milliseconds of CPU time in a second. */
  idleCpu: number;
  memoryMiB: number;
  /** Requests a second. */
  rate: number;
  p99Ms: number;
  /** CPU time for a request, in microseconds. */
  requestCpu: number;
}

const ways: readonly Way[] = [
  { name: "without", isMeasured: false, isSent: false, samples: [] },
  { name: "--telemetry, scraped", isMeasured: true, isSent: false, samples: [] },
  { name: "… and sent to a collector", isMeasured: true, isSent: true, samples: [] },
];

const directory = mkdtempSync(join(tmpdir(), "dewy-bench-telemetry-"));
const marker = `${directory}/marker`;
const collector = await serveCollector();
try {
  const app = writeApp();
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const way of rotated(ways, round)) way.samples.push(await sample(way, app));
  }
  report();
} finally {
  await killAllWith("APP_REPORT", marker);
  await collector.close();
  rmSync(directory, { recursive: true, force: true });
}

interface App {
  registry: string;
  program: readonly string[];
}

function writeApp(): App {
  const config = join(directory, "app.cfg");
  const registry = join(directory, "registry");
  mkdirSync(join(registry, "v1.0.0"), { recursive: true });
  writeFileSync(join(registry, "v1.0.0", "app"), "#!/bin/sh\n");
  writeFileSync(
    config,
    `global
  nbthread 1
defaults
  mode http
  timeout connect 5s
  timeout client 10m
  timeout server 10m
frontend app
  bind "127.0.0.1:\${PORT}" backlog 4096
  http-request return status 200 content-type text/plain string "hello, world"
`,
  );
  const haproxy = execFileSync("which", ["haproxy"], { encoding: "utf8" }).trim();
  return { registry, program: [haproxy, "-db", "-q", "-f", config] };
}

async function sample(way: Way, app: App): Promise<Sample> {
  const [port = 0, adminPort = 0] = await freePorts(2);
  const child = startDewy(way, app, port, adminPort);
  const ended = new Promise((resolve) => child.once("exit", resolve));
  let scraping: NodeJS.Timeout | undefined;
  try {
    await until(async () => (await fetchText(`http://127.0.0.1:${port}/`)) !== "");
    if (way.isMeasured) {
      const scrape = async (): Promise<void> => {
        const text = await fetchText(`http://127.0.0.1:${adminPort}/metrics`);
        if (!text.includes("dewy_app_info")) throw new Error(`the scrape returned "${text}"`);
      };
      await scrape();
      scraping = setInterval(scrape, SCRAPE_MS);
    }
    // The start and the first poll are not idle.
    await sleep(WARM_UP_MS);
    return await measure(port);
  } finally {
    clearInterval(scraping);
    child.kill("SIGTERM");
    await ended;
  }
}

function startDewy(
  { isMeasured, isSent }: Way,
  { registry, program }: App,
  port: number,
  adminPort: number,
): ChildProcess {
  const home = mkdtempSync(join(directory, "home-"));
  const flags = [
    ...(isMeasured ? ["--telemetry", "--admin-port", String(adminPort)] : []),
    ...(isSent ? ["--otlp-endpoint", collector.url] : []),
  ];
  const deploy = ["server", "--registry", `file://${registry}?artifact=app`, "-i", "10s"];
  const serve = ["--handoff", "proxy", "--port", `127.0.0.1:${port}`, "--bake", "0"];
  return spawn("node", [CLI, ...deploy, ...serve, ...flags, "--", ...program], {
    cwd: home,
    env: { ...process.env, APP_REPORT: marker, DEWY_RUNTIME_DIR: home },
    stdio: ["ignore", "ignore", "inherit"],
  });
}

async function measure(port: number): Promise<Sample> {
  const pids = await pidsOfDewy();
  const before = cpuMs(pids);
  await sleep(IDLE_SECONDS * 1_000);
  const idleCpu = (cpuMs(pids) - before) / IDLE_SECONDS;
  const memoryMiB = pids.map(memoryOf).reduce((sum, size) => sum + size, 0);
  const start = cpuMs(pids);
  const text = await output("wrk", [
    ...["-t1", `-c${CONNECTIONS}`, `-d${LOAD_SECONDS}s`, "--latency"],
    `http://127.0.0.1:${port}/`,
  ]);
  if (/Socket errors|Non-2xx/.test(text)) console.error(text);
  const requests = Number(/(\d+) requests in/.exec(text)?.[1]);
  const [, p99 = "", unit = ""] = /99%\s+([\d.]+)(us|ms|s)/.exec(text) ?? [];
  return {
    idleCpu,
    memoryMiB,
    rate: Number(/Requests\/sec:\s+([\d.]+)/.exec(text)?.[1]),
    p99Ms: Number(p99) * ({ us: 0.001, ms: 1 }[unit] ?? 1_000),
    requestCpu: ((cpuMs(pids) - start) * 1_000) / requests,
  };
}

/** All processes of dewy, without the app. */
async function pidsOfDewy(): Promise<number[]> {
  const all = await processesWith("APP_REPORT", marker);
  const isApp = (pid: number): boolean =>
    readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0", 1)[0]?.endsWith("haproxy") === true;
  return all.map(({ pid }) => pid).filter((pid) => !isApp(pid));
}

/** @see https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html */
function cpuMs(pids: readonly number[]): number {
  let ticks = 0;
  for (const pid of pids) {
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
    ticks += Number(fields[11]) + Number(fields[12]);
  }
  return (ticks * 1_000) / CLOCK_TICKS;
}

/** Proportional, in MiB. */
function memoryOf(pid: number): number {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
  return Number(/^Pss: +(\d+)/m.exec(rollup)?.[1] ?? 0) / 1024;
}

/** Asynchronous, so that scrapes go on. */
async function output(program: string, args: readonly string[]): Promise<string> {
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"] });
  let text = "";
  for await (const chunk of child.stdout) text += chunk;
  return text;
}

async function fetchText(url: string): Promise<string> {
  try {
    return await (await fetch(url)).text();
  } catch {
    return "";
  }
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + TIMEOUT_MS;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error("the app does not answer");
    await sleep(50);
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function report(): void {
  const of = (way: Way | undefined, key: keyof Sample): number =>
    median((way?.samples ?? []).map((one) => one[key]));
  const rates = (way: Way): number[] => way.samples.map(({ rate }) => rate);
  const plain = ways[0];
  console.log(
    `Medians of ${ROUNDS} rounds: ${IDLE_SECONDS} s idle, ${LOAD_SECONDS} s of load over ${CONNECTIONS} connections`,
  );
  console.table(
    ways.map((way) => ({
      way: way.name,
      "idle CPU (ms/s)": of(way, "idleCpu").toFixed(2),
      "memory (MiB)": of(way, "memoryMiB").toFixed(1),
      "requests/s": of(way, "rate").toFixed(0),
      "/ without": (of(way, "rate") / of(plain, "rate")).toFixed(3),
      "lowest-highest": `${Math.min(...rates(way)).toFixed(0)}-${Math.max(...rates(way)).toFixed(0)}`,
      "p99 (ms)": of(way, "p99Ms").toFixed(2),
      "CPU/request (µs)": of(way, "requestCpu").toFixed(1),
    })),
  );
}
