// What telemetry costs: `dewy server` behind its proxy, with --telemetry and a scrape every 5 s, and
// with a collector as well, against the same without. All of them idle side by side for their CPU and
// memory; then requests pass through one proxy after the other, and the order rotates from round to
// round. Needs haproxy (as the app) and wrk. Run it with `npm run bench -- telemetry [rounds]
// [idle seconds] [load seconds]`.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { killAllWith, processesWith } from "../test/e2e/server/processes.ts";
import { serveCollector } from "../test/fakes/collector.ts";
import { freePorts } from "../test/peers/ports.ts";
import { median, rotated } from "./support/measure.ts";

const [ROUNDS = 10, IDLE_SECONDS = 60, LOAD_SECONDS = 3] = process.argv.slice(2).map(Number);
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
}

interface Running extends Way {
  child: ChildProcess;
  port: number;
  adminPort: number;
  /** The processes of dewy, without the app. */
  pids: readonly number[];
  /** Milliseconds of CPU time in a second. */
  idleCpu: number;
  memoryMiB: number;
  loads: Load[];
}

interface Load {
  /** Requests a second. */
  rate: number;
  p99Ms: number;
  /** CPU time for a request, in microseconds. */
  cpu: number;
}

const ways: readonly Way[] = [
  { name: "without", isMeasured: false, isSent: false },
  { name: "--telemetry, scraped", isMeasured: true, isSent: false },
  { name: "… and sent to a collector", isMeasured: true, isSent: true },
];

const directory = mkdtempSync(join(tmpdir(), "dewy-bench-telemetry-"));
const collector = await serveCollector();
let scraping: NodeJS.Timeout | undefined;
try {
  const app = writeApp();
  const running = await Promise.all(ways.map((way) => start(way, app)));
  const measured = running.filter(({ isMeasured }) => isMeasured);
  await Promise.all(measured.map(scrape));
  scraping = setInterval(() => void Promise.all(measured.map(scrape)), SCRAPE_MS);
  await sleep(WARM_UP_MS); // The start and the first poll are not idle.
  await measureIdle(running);
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const one of rotated(running, round)) one.loads.push(await load(one));
  }
  report(running);
} finally {
  clearInterval(scraping);
  for (const { name } of ways) await killAllWith("APP_REPORT", markerOf(name));
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

function markerOf(name: string): string {
  return `${directory}/${name}`;
}

async function start(way: Way, { registry, program }: App): Promise<Running> {
  const [port = 0, adminPort = 0] = await freePorts(2);
  const home = mkdtempSync(join(directory, "home-"));
  const flags = [
    ...(way.isMeasured ? ["--telemetry", "--admin-port", String(adminPort)] : []),
    ...(way.isSent ? ["--otlp-endpoint", collector.url] : []),
  ];
  const deploy = ["server", "--registry", `file://${registry}?artifact=app`, "-i", "10s"];
  const serve = ["--handoff", "proxy", "--port", `127.0.0.1:${port}`, "--bake", "0"];
  const child = spawn("node", [CLI, ...deploy, ...serve, ...flags, "--", ...program], {
    cwd: home,
    env: { ...process.env, APP_REPORT: markerOf(way.name), DEWY_RUNTIME_DIR: home },
    stdio: ["ignore", "ignore", "inherit"],
  });
  await until(async () => (await fetchText(`http://127.0.0.1:${port}/`)) !== "");
  const pids = await pidsOf(way.name);
  return { ...way, child, port, adminPort, pids, idleCpu: 0, memoryMiB: 0, loads: [] };
}

async function scrape({ adminPort }: Running): Promise<void> {
  const text = await fetchText(`http://127.0.0.1:${adminPort}/metrics`);
  if (!text.includes("dewy_app_info")) throw new Error(`the scrape returned "${text}"`);
}

async function measureIdle(running: readonly Running[]): Promise<void> {
  const before = running.map(({ pids }) => cpuMs(pids));
  // A collection of garbage halves the memory from one second to the next.
  const sizes = running.map((): number[] => []);
  for (let second = 0; second < IDLE_SECONDS; second += 1) {
    await sleep(1_000);
    for (const [index, { pids }] of running.entries()) sizes[index]?.push(memoryOf(pids));
  }
  running.forEach((one, index) => {
    one.idleCpu = (cpuMs(one.pids) - (before[index] ?? 0)) / IDLE_SECONDS;
    one.memoryMiB = median(sizes[index] ?? []);
  });
}

async function load({ port, pids }: Running): Promise<Load> {
  const before = cpuMs(pids);
  const text = await output("wrk", [
    ...["-t1", `-c${CONNECTIONS}`, `-d${LOAD_SECONDS}s`, "--latency"],
    `http://127.0.0.1:${port}/`,
  ]);
  if (/Socket errors|Non-2xx/.test(text)) console.error(text);
  const requests = Number(/(\d+) requests in/.exec(text)?.[1]);
  const [, p99 = "", unit = ""] = /99%\s+([\d.]+)(us|ms|s)/.exec(text) ?? [];
  return {
    rate: Number(/Requests\/sec:\s+([\d.]+)/.exec(text)?.[1]),
    p99Ms: Number(p99) * ({ us: 0.001, ms: 1 }[unit] ?? 1_000),
    cpu: ((cpuMs(pids) - before) * 1_000) / requests,
  };
}

async function pidsOf(name: string): Promise<number[]> {
  const all = await processesWith("APP_REPORT", markerOf(name));
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

/** What no other process shares, in MiB. */
function memoryOf(pids: readonly number[]): number {
  const sizes = pids.flatMap((pid) => {
    const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
    return [...rollup.matchAll(/^Private_\w+: +(\d+)/gm)].map(([, size]) => Number(size));
  });
  return sizes.reduce((sum, size) => sum + size, 0) / 1024;
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

function report(running: readonly Running[]): void {
  const of = (one: Running | undefined, key: keyof Load): number =>
    median((one?.loads ?? []).map((load) => load[key]));
  // Within a round, so that other work of the machine matters less.
  const ratio = (one: Running): number =>
    median(one.loads.map(({ rate }, round) => rate / (running[0]?.loads[round]?.rate ?? 1)));
  console.log(
    `${IDLE_SECONDS} s idle; medians of ${ROUNDS} rounds of ${LOAD_SECONDS} s over ${CONNECTIONS} connections`,
  );
  console.table(
    running.map((one) => ({
      way: one.name,
      "idle CPU (ms/s)": one.idleCpu.toFixed(2),
      "memory (MiB)": one.memoryMiB.toFixed(1),
      "requests/s": of(one, "rate").toFixed(0),
      "/ without": ratio(one).toFixed(3),
      "p99 (ms)": of(one, "p99Ms").toFixed(2),
      "CPU/request (µs)": of(one, "cpu").toFixed(1),
    })),
  );
}
