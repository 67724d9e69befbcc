// The cost of dewy's TCP proxy on each runtime, against a direct connection and against haproxy in
// TCP mode with one thread (and splicing). The order rotates from round to round. Needs haproxy and
// wrk. Run it with `npm run bench -- proxy [rounds] [seconds]`.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { ROOT, runtimes } from "../test/runtime/runtimes.ts";
import { median, rotated } from "./support/measure.ts";

const ROUNDS = Number(process.argv[2] ?? 3);
const SECONDS = Number(process.argv[3] ?? 2);
const CONNECTIONS = 32;
const BULK_BYTES = 512 * 1024 * 1024;
const IDLE_CONNECTIONS = 5_000;
const HOST = "127.0.0.1";
const CLOCK_TICKS = 100;

/** A way to the backends: a port for HTTP, one for bulk, and the processes in between. */
interface Way {
  name: string;
  http: number;
  bulk: number;
  pids: number[];
}

interface Sample {
  /** Requests a second over connections that are kept. */
  kept: number;
  /** Requests a second over a connection each. */
  fresh: number;
  /** MiB a second over one connection. */
  bulk: number;
  /** Milliseconds, at {@link CONNECTIONS} kept connections. */
  p50: number;
  p99: number;
  /** CPU time in microseconds for a kept request, and for a fresh one. */
  keptCpu: number;
  freshCpu: number;
}

const children: ChildProcess[] = [];

async function main(): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "dewy-bench-proxy-"));
  try {
    const ways = await startWays(directory);
    const samples = new Map<Way, Sample[]>(ways.map((way) => [way, []]));
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const way of rotated(ways, round)) samples.get(way)?.push(await measure(way));
    }
    report(ways, samples);
    await reportIdle(ways.slice(1));
  } finally {
    for (const child of children) child.kill("SIGKILL");
    rmSync(directory, { recursive: true, force: true });
  }
}

async function startWays(directory: string): Promise<Way[]> {
  const [backend, through, throughBulk] = [await freePort(), await freePort(), await freePort()];
  const bulk = await startBulkServer();
  startHaproxy(
    directory,
    "backend",
    `frontend http
  mode http
  bind ${HOST}:${backend} backlog 4096
  http-request return status 200 content-type text/plain string "hello, world"`,
  );
  const haproxy = startHaproxy(
    directory,
    "proxy",
    `listen http
  bind ${HOST}:${through} backlog 4096
  server one ${HOST}:${backend}
listen bulk
  bind ${HOST}:${throughBulk} backlog 4096
  option splice-auto
  server one ${HOST}:${bulk}`,
  );
  await Promise.all([backend, through, throughBulk].map(accepts));
  const ways: Way[] = [
    { name: "direct", http: backend, bulk, pids: [] },
    { name: "haproxy", http: through, bulk: throughBulk, pids: [haproxy] },
  ];
  for (const { name, command } of runtimes) {
    const [program, ...args] = await command(join(ROOT, "test/runtime/proxy_case.ts"));
    // Bun runs this benchmark, so that the first runtime would be Bun again.
    const isNode = name.startsWith("Node");
    const argv = [isNode ? "node" : program, ...args] as const;
    const [http, large] = [await startDewy(argv, backend), await startDewy(argv, bulk)];
    const title = isNode
      ? `node ${execFileSync("node", ["-v"], { encoding: "utf8" }).trim()}`
      : name;
    ways.push({
      name: `dewy, ${title}`,
      http: http.port,
      bulk: large.port,
      pids: [http.pid, large.pid],
    });
  }
  return ways;
}

function startHaproxy(directory: string, name: string, sections: string): number {
  const file = join(directory, `${name}.cfg`);
  const config = `global
  nbthread 1
  maxconn 6000
defaults
  mode tcp
  maxconn 6000
  timeout connect 5s
  timeout client 10m
  timeout server 10m
${sections}
`;
  writeFileSync(file, config);
  return start("haproxy", ["-db", "-q", "-f", file]).pid ?? 0;
}

function start(
  program: string,
  args: readonly string[],
  env: Record<string, string> = {},
): ChildProcess {
  const child = spawn(program, args, {
    cwd: ROOT,
    stdio: ["pipe", "pipe", "inherit"],
    env: { ...process.env, ...env },
  });
  children.push(child);
  return child;
}

function startDewy(
  [program, ...args]: readonly [string, ...string[]],
  backend: number,
): Promise<{ port: number; pid: number }> {
  const child = start(program, args, {
    PROXY_OPTIONS: JSON.stringify({ listen: { host: HOST, port: 0 } }),
  });
  const { stdout, stdin, pid = 0 } = child;
  if (stdout === null || stdin === null) throw new Error("the proxy has no pipes");
  const argument = [{ host: HOST, port: backend }];
  stdin.write(`${JSON.stringify({ id: 1, call: "setBackends", argument })}\n`);
  return new Promise((resolve, reject) => {
    let port = 0;
    createInterface({ input: stdout }).on("line", (line) => {
      const answer = JSON.parse(line);
      if (answer.error !== undefined) reject(new Error(answer.error));
      port = answer.address?.port ?? port;
      if (answer.id === 1) resolve({ port, pid });
    });
  });
}

/** Answers the first byte of a connection with many bytes; a zero byte with silence. */
async function startBulkServer(): Promise<number> {
  const program = `
    const block = Buffer.alloc(256 * 1024, 120);
    require("node:net").createServer((socket) => {
      socket.on("error", () => {});
      socket.once("data", (chunk) => {
        if (chunk[0] === 0) return;
        let left = ${BULK_BYTES / (256 * 1024)};
        const more = () => {
          while (left-- > 0) if (!socket.write(block)) return socket.once("drain", more);
          socket.end();
        };
        more();
      });
    }).listen({ port: 0, host: "${HOST}", backlog: 4096 }, function () { console.log(this.address().port) });`;
  const { stdout } = start("node", ["-e", program]);
  if (stdout === null) throw new Error("the server has no pipe");
  return new Promise((resolve) => stdout.once("data", (text) => resolve(Number(text))));
}

async function measure(way: Way): Promise<Sample> {
  const kept = load(way, []);
  const fresh = load(way, ["-H", "Connection: close"]);
  return {
    kept: kept.rate,
    p50: kept.p50,
    p99: kept.p99,
    keptCpu: kept.cpuMicros,
    fresh: fresh.rate,
    freshCpu: fresh.cpuMicros,
    bulk: await transfer(way.bulk),
  };
}

function load(
  { http, pids }: Way,
  options: readonly string[],
): { rate: number; p50: number; p99: number; cpuMicros: number } {
  const before = cpuSeconds(pids);
  const args = ["-t1", `-c${CONNECTIONS}`, `-d${SECONDS}s`, "--latency", ...options];
  const text = execFileSync("wrk", [...args, `http://${HOST}:${http}/`], { encoding: "utf8" });
  if (/Socket errors|Non-2xx/.test(text)) console.error(text);
  const requests = Number(/(\d+) requests in/.exec(text)?.[1]);
  return {
    rate: Number(/Requests\/sec:\s+([\d.]+)/.exec(text)?.[1]),
    p50: milliseconds(/50%\s+(\S+)/.exec(text)?.[1]),
    p99: milliseconds(/99%\s+(\S+)/.exec(text)?.[1]),
    cpuMicros: ((cpuSeconds(pids) - before) / requests) * 1e6,
  };
}

function milliseconds(text = ""): number {
  const factor = text.endsWith("us") ? 0.001 : text.endsWith("ms") ? 1 : 1000;
  return Number.parseFloat(text) * factor;
}

/** @see https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html */
function cpuSeconds(pids: readonly number[]): number {
  let ticks = 0;
  for (const pid of pids) {
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
    ticks += Number(fields[11]) + Number(fields[12]);
  }
  return ticks / CLOCK_TICKS;
}

/** Reads in a separate process, so that the reader is the same for each way. */
async function transfer(port: number): Promise<number> {
  const program = `
    const socket = require("node:net").connect({
      port: ${port}, host: "${HOST}",
      onread: { buffer: Buffer.alloc(256 * 1024), callback: (size) => { total += size; return true; } },
    }, () => socket.write("x"));
    let total = 0;
    const start = process.hrtime.bigint();
    socket.on("close", () => console.log(total, Number(process.hrtime.bigint() - start) / 1e9));`;
  const output = execFileSync("node", ["-e", program], { encoding: "utf8" });
  const [bytes = 0, seconds = 1] = output.split(" ").map(Number);
  if (bytes !== BULK_BYTES) throw new Error(`got ${bytes} of ${BULK_BYTES} bytes`);
  return bytes / 1024 / 1024 / seconds;
}

function report(ways: readonly Way[], samples: ReadonlyMap<Way, readonly Sample[]>): void {
  const of = (way: Way | undefined, key: keyof Sample): number =>
    median((way === undefined ? [] : (samples.get(way) ?? [])).map((sample) => sample[key]));
  const haproxy = ways[1];
  console.log(
    `median of ${ROUNDS} rounds; ${CONNECTIONS} connections; in brackets against haproxy (kept, fresh, bulk: more is better)`,
  );
  console.log(
    "way | kept req/s | fresh req/s | bulk MiB/s | p50 ms | p99 ms | CPU us/kept | CPU us/fresh",
  );
  for (const way of ways) {
    const rates = (["kept", "fresh", "bulk"] as const).map((key) => {
      const value = of(way, key);
      return `${Math.round(value)} (${(value / of(haproxy, key)).toFixed(2)})`;
    });
    const rest = (["p50", "p99", "keptCpu", "freshCpu"] as const).map((key) =>
      of(way, key).toFixed(2),
    );
    console.log([way.name, ...rates, ...rest].join(" | "));
  }
}

async function reportIdle(ways: readonly Way[]): Promise<void> {
  console.log(`\nway | MiB before | MiB with ${IDLE_CONNECTIONS} idle connections | KiB each`);
  for (const { name, bulk, pids } of ways) {
    const pid = pids.at(-1) ?? 0;
    const before = residentKib(pid);
    const sockets = await openIdle(bulk, IDLE_CONNECTIONS);
    const after = residentKib(pid);
    const each = (after - before) / IDLE_CONNECTIONS;
    console.log(
      [name, (before / 1024).toFixed(0), (after / 1024).toFixed(0), each.toFixed(1)].join(" | "),
    );
    for (const socket of sockets) socket.resetAndDestroy();
  }
}

async function openIdle(port: number, count: number): Promise<Socket[]> {
  const sockets: Socket[] = [];
  while (sockets.length < count) {
    const batch = Array.from({ length: 100 }, () => openSocket(port));
    sockets.push(...(await Promise.all(batch)));
  }
  // The last connections reach the backend a moment after they were accepted.
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  return sockets;
}

function openSocket(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: HOST }, () => {
      socket.write(new Uint8Array(1));
      resolve(socket);
    });
    socket.on("error", reject);
  });
}

function residentKib(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, HOST, () => {
      const address = server.address();
      const port = typeof address === "object" && address !== null ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
}

async function accepts(port: number): Promise<void> {
  for (;;) {
    const isOpen = await openSocket(port).then(
      (socket) => {
        socket.destroy();
        return true;
      },
      () => false,
    );
    if (isOpen) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

await main();
process.exit(0);
