// The time of an operator: from `dewy rollback` to the first answer of the old version, with the
// replaced generation still standing by and with a cold start, against the start of the command line
// and of the app itself in the same run; then `dewy status` with 20 instances, against one.
// Run it with `npm run bench -- rollback [rounds]`.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { chmod, mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { Agent, get } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { killAllWith } from "../test/e2e/server/processes.ts";
import { makeApp } from "../test/e2e/server/releases.ts";
import { freePorts } from "../test/peers/ports.ts";
import { type Cost, measure, median, medianCost, rotated } from "./support/measure.ts";

const ROUNDS = Number(process.argv[2] ?? 15);
const INSTANCES = 20;
const TIMEOUT_MS = 30_000;
const ROOT = fileURLToPath(new URL("..", import.meta.url));
const NODE = process.env.npm_node_execpath ?? "node";
const CLI = join(ROOT, "dist", "cli.js");
const ARTIFACT = `app_${process.platform}_${process.arch}.tar.gz`;

const home = await mkdtemp(join(tmpdir(), "dewy-rollback-"));
const report = join(home, "report");
const children: ChildProcess[] = [];
/** While a version bakes, the previous one stands by; with a shared socket, it also still answers. */
const BAKING = ["--bake", "1h", "--overlap", "1h"];
const env = { ...process.env, APP_REPORT: report, DEWY_RUNTIME_DIR: join(home, "run") };
interface Way {
  name: string;
  /** Milliseconds of each round. */
  ms: number[];
  run(): Promise<number>;
}

/** An app under dewy on a port of its own, of which v1.1.0 is live. */
interface Served {
  name: string;
  port: number;
  isBaking: boolean;
}

async function compareRollbacks(): Promise<void> {
  // The proxy tells readiness by a request, and the socket by nothing that could take time.
  const proxy = ["--handoff", "proxy", "--health-path", "/"];
  const socket = ["--ready-after", "0"];
  const [byProxy, coldProxy, coldSocket] = [
    await serve("proxy-standby", "port", proxy, true),
    await serve("proxy-cold", "port", proxy, false),
    await serve("socket-cold", "node", socket, false),
  ];
  const ways: Way[] = [
    way("the start of the command line (dewy --version)", () => startOfCli()),
    way("the start of the app itself", () => startOfApp()),
    way("proxy, the old generation stands by", () => rollBack(byProxy)),
    way("proxy, cold", () => rollBack(coldProxy)),
    way("socket, cold", () => rollBack(coldSocket)),
  ];
  for (const one of ways) await one.run(); // fills the caches
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const one of rotated(ways, round)) one.ms.push(await one.run());
  }
  const [cli = 0, app = 0] = ways.map(({ ms }) => median(ms));
  console.log(
    `From the command to the first answer of the old version: median of ${ROUNDS} rounds`,
  );
  console.table(
    ways.map(({ name, ms }, index) => {
      const limit = index === 1 ? app : name.endsWith("cold") ? cli + app : cli;
      return {
        way: name,
        ms: median(ms).toFixed(0),
        "limit (ms)": limit.toFixed(0),
        "beyond (ms)": (median(ms) - limit).toFixed(0),
        "/ limit": (median(ms) / limit).toFixed(2),
        "max (ms)": Math.max(...ms).toFixed(0),
      };
    }),
  );
  console.log(
    "The limit of a cold rollback: both starts; of a standby: that of the command line.\n",
  );
  for (const child of children.splice(0)) child.kill("SIGTERM");
}

function way(name: string, run: () => Promise<number>): Way {
  return { name, ms: [], run };
}

async function startOfCli(): Promise<number> {
  const from = performance.now();
  await runDewy("--version");
  return performance.now() - from;
}

let direct: string | undefined;

/** The app alone, until it answers. */
async function startOfApp(): Promise<number> {
  direct ??= await unpacked("port");
  const [port = 0] = await freePorts(1);
  const from = performance.now();
  const child = spawn(direct, [], { env: { ...env, PORT: String(port) }, stdio: "ignore" });
  await answered(port, "v1.0.0");
  const ms = performance.now() - from;
  child.kill("SIGKILL");
  return ms;
}

async function unpacked(kind: "port"): Promise<string> {
  const directory = join(home, "direct");
  await mkdir(directory);
  await writeFile(join(home, "direct.tar.gz"), await makeApp(kind, "v1.0.0"));
  spawnSync("tar", ["-xzf", join(home, "direct.tar.gz"), "-C", directory]);
  await chmod(join(directory, "bin", "app"), 0o755);
  return join(directory, "bin", "app");
}

async function rollBack({ name, port, isBaking }: Served): Promise<number> {
  const from = performance.now();
  const command = runDewy("rollback", "--name", name);
  await answered(port, "v1.0.0");
  const ms = performance.now() - from;
  await command;
  const deploy = runDewy("deploy", "v1.1.0", "--name", name);
  await answered(port, "v1.1.0");
  // Where it bakes, the next rollback ends it.
  if (isBaking) deploy.catch(() => {});
  else await deploy;
  return ms;
}

async function serve(
  name: string,
  kind: "node" | "port",
  flags: readonly string[],
  isBaking: boolean,
): Promise<Served> {
  const directory = join(home, name);
  const registry = join(home, `${name}-registry`);
  const [port = 0] = await freePorts(1);
  await mkdir(directory);
  await publish(registry, "v1.0.0", await makeApp(kind, "v1.0.0"));
  const args = (...bake: readonly string[]): readonly string[] => [
    ...["server", "--registry", `file://${registry}`, "--name", name, "-i", "1h"],
    ...["--port", `127.0.0.1:${port}`, ...flags, ...bake],
    ...["--", join(directory, "current", "bin", "app")],
  ];
  // v1.0.0 has to pass its bake.
  const first = start(directory, args("--bake", "0"));
  await answered(port, "v1.0.0");
  await runDewy("poll", "--name", name);
  if (isBaking) {
    first.kill("SIGTERM");
    await new Promise((resolve) => first.once("exit", resolve));
    start(directory, args(...BAKING));
    await answered(port, "v1.0.0");
  }
  await publish(registry, "v1.1.0", await makeApp(kind, "v1.1.0"));
  const poll = runDewy("poll", "--name", name);
  await answered(port, "v1.1.0");
  if (isBaking) poll.catch(() => {});
  else await poll;
  return { name, port, isBaking };
}

async function publish(registry: string, tag: string, bytes: Uint8Array): Promise<void> {
  await mkdir(join(registry, tag), { recursive: true });
  await writeFile(join(registry, tag, `.${ARTIFACT}`), bytes);
  await rename(join(registry, tag, `.${ARTIFACT}`), join(registry, tag, ARTIFACT));
}

function start(cwd: string, args: readonly string[]): ChildProcess {
  const child = spawn(NODE, [CLI, ...args], { cwd, env, stdio: "ignore" });
  children.push(child);
  return child;
}

async function compareStatus(): Promise<void> {
  const registry = join(home, "assets-registry");
  await publish(registry, "v1.0.0", await makeApp("node", "v1.0.0"));
  const runtimes = [
    await instances("one", 1, registry),
    await instances("many", INSTANCES, registry),
  ];
  const ways = [
    { what: "dewy --version", args: ["--version"], env, costs: [] as Cost[] },
    ...runtimes.map(({ count, env }) => {
      const what = `dewy status, ${count} instances`;
      return { what, args: ["status"], env, costs: [] as Cost[] };
    }),
  ];
  const cost = ({ args, env }: (typeof ways)[number]): Promise<Cost> =>
    measure([NODE, CLI, ...args], { cwd: home, env });
  for (const one of ways) await cost(one); // fills the caches
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const one of rotated(ways, round)) one.costs.push(await cost(one));
  }
  const rows = ways.map(({ what, costs }) => ({ what, ...medianCost(costs) }));
  const limit = rows[0]?.wallMs ?? Number.NaN;
  console.log(`Median of ${ROUNDS} runs of dewy status`);
  console.table(
    rows.map(({ what, wallMs, cpuMs }) => ({
      what,
      "wall (ms)": wallMs.toFixed(0),
      "CPU (ms)": cpuMs.toFixed(0),
      "/ --version": (wallMs / limit).toFixed(2),
    })),
  );
}

/** Instances of `dewy assets` in a runtime directory of their own. */
async function instances(
  name: string,
  count: number,
  registry: string,
): Promise<{ count: number; env: NodeJS.ProcessEnv }> {
  const own = { ...env, DEWY_RUNTIME_DIR: join(home, `run-${name}`) };
  await mkdir(own.DEWY_RUNTIME_DIR, { mode: 0o700 });
  for (let index = 0; index < count; index += 1) {
    const directory = join(home, `${name}-${index}`);
    await mkdir(directory);
    const args = ["assets", "--registry", `file://${registry}`, "-i", "1h"];
    children.push(spawn(NODE, [CLI, ...args], { cwd: directory, env: own, stdio: "ignore" }));
  }
  await until(async () => {
    // It fails as long as there is none.
    const text = await runDewyIn(own, "status", "--json").catch(() => '{"instances":[]}');
    const { instances } = JSON.parse(text);
    const isReady = ({ process, live }: Record<string, unknown>): boolean =>
      process !== undefined && live !== undefined;
    return instances.filter(isReady).length === count;
  }, `${count} instances`);
  return { count, env: own };
}

function runDewy(...args: readonly string[]): Promise<string> {
  return runDewyIn(env, ...args);
}

async function runDewyIn(env: NodeJS.ProcessEnv, ...args: readonly string[]): Promise<string> {
  const child = spawn(NODE, [CLI, ...args], { cwd: home, env, stdio: ["ignore", "pipe", "pipe"] });
  const output = { stdout: "", stderr: "" };
  child.stdout.on("data", (chunk) => {
    output.stdout += chunk;
  });
  child.stderr.on("data", (chunk) => {
    output.stderr += chunk;
  });
  const code = await new Promise((resolve) => child.once("close", resolve));
  if (code !== 0) throw new Error(`dewy ${args.join(" ")} exited with ${code}: ${output.stderr}`);
  return output.stdout;
}

/** Asks over new connections until a version answers. */
async function answered(port: number, version: string): Promise<void> {
  await until(async () => (await ask(port)) === version, `${version} on port ${port}`, 1);
}

function ask(port: number): Promise<string> {
  return new Promise((resolve) => {
    const request = get({ host: "127.0.0.1", port, agent: new Agent() }, (response) => {
      let text = "";
      response.on("data", (chunk) => {
        text += chunk;
      });
      response.on("end", () => resolve(text)).on("error", () => resolve(""));
    });
    request.on("error", () => resolve(""));
  });
}

async function until(condition: () => Promise<boolean>, what: string, pauseMs = 50): Promise<void> {
  const deadline = Date.now() + TIMEOUT_MS;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`timeout while waiting for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

try {
  await mkdir(env.DEWY_RUNTIME_DIR, { mode: 0o700 });
  await compareRollbacks();
  await compareStatus();
} finally {
  await killAllWith("APP_REPORT", report);
  await rm(home, { recursive: true, force: true });
}
