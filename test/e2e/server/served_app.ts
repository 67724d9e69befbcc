import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished } from "vitest";
import type { DeployState } from "../../../src/deploy/state.ts";
import { freePorts } from "../../peers/ports.ts";
import { tempDirectory } from "../../support/temp_directory.ts";
import { type CliRuntime, type Dewy, liveVersion, startDewy, until } from "../dewy.ts";
import { filePublisher, type Publisher } from "../publishers.ts";
import type { Lane, LoadResult } from "./load.ts";
import { type AppProcess, killAllNaming, killAllWith, processesWith } from "./processes.ts";
import { type AppKind, type BadBehaviour, makeApp, makeBadApp, PROGRAM } from "./releases.ts";
import { lanes, type RunningLoad, startLoad, type Target } from "./start_load.ts";
import { suite } from "./suite.ts";

/** What an app reports about itself. */
export interface AppReport {
  event: "started" | "stopped";
  version: string;
  pid: number;
  accepted: number;
  answered: number;
}

/** An app, and the directory from which dewy serves it. */
export interface ServedApp {
  kind: AppKind;
  publisher: Publisher & { directory: string };
  /** The working directory of dewy. */
  cwd: string;
  /** Its first TCP port, its second one, and its unix socket, as far as the app takes several. */
  targets: readonly [Target, ...Target[]];
  /** Every process below dewy has this path in its environment, as APP_REPORT. */
  reportFile: string;
  publish(version: string): Promise<void>;
  publishBad(behaviour: BadBehaviour, version: string): Promise<void>;
  /** The command line of dewy, without `--port`. */
  command(flags?: readonly string[]): string[];
  /** Starts dewy, also again after it has exited. */
  start(flags?: readonly string[], env?: Readonly<Record<string, string>>): Dewy;
  /** The running processes of the app's generations, one per generation. */
  generations(): Promise<AppProcess[]>;
  reports(): Promise<AppReport[]>;
}

/** Short enough for a test, long enough for the apps to have started. */
export const QUICK: readonly string[] = ["-i", "1s", "--bake", "500ms", "--overlap", "1s"];
/** Longer than a switch, except in the covering set, which would mostly wait for them. */
const SLOW_MS = suite === "cover" ? 2000 : 5000;
/** Apps that take only one socket. */
const SINGLE: ReadonlySet<AppKind> = new Set(["python", "bind"]);
const UNIX: ReadonlySet<AppKind> = new Set(["node", "c-server-starter", "c-listen-fds", "nginx"]);
const LOG = ["--log-level", "debug", "--log-format", "json"];

/**
 * Sets up a directory, a registry and ports for an app. Everything that still runs at the end of
 * the test is killed.
 */
export async function serveApp(runtime: CliRuntime, kind: AppKind): Promise<ServedApp> {
  const publisher = await filePublisher();
  const cwd = await tempDirectory();
  const reportFile = join(await tempDirectory(), "report");
  onTestFinished(async () => {
    await killAllWith("APP_REPORT", reportFile);
    await killAllNaming(cwd);
  });
  const [first = 0, second = 0] = await freePorts(2);
  const socket = join(cwd, "app.sock");
  const host = "127.0.0.1";
  const targets: [Target, ...Target[]] = [{ host, port: first }];
  if (!SINGLE.has(kind)) targets.push({ host, port: second });
  if (UNIX.has(kind)) targets.push({ path: socket });
  const command = (flags: readonly string[] = []): string[] => [
    ...runtime.command,
    ...["server", "--registry", publisher.url, ...LOG, ...flagsFor(kind)],
    // There is no overlap with --handoff none.
    ...(flags.includes("none") ? QUICK.slice(0, -2) : QUICK),
    ...flags,
    ...["--", join(cwd, "current", PROGRAM)],
  ];
  return {
    kind,
    publisher,
    cwd,
    targets,
    reportFile,
    publish: async (version) => publisher.publish(version, await makeApp(kind, version)),
    publishBad: async (behaviour, version) =>
      publisher.publish(version, await makeBadApp(behaviour, version)),
    command,
    start: (flags = [], env = {}) => {
      const ports = targets.flatMap((target) => ["--port", portFlag(target)]);
      return startDewy(
        runtime.command,
        command([...ports, ...flags]).slice(runtime.command.length),
        {
          cwd,
          env: { APP_REPORT: reportFile, ...env },
        },
      );
    },
    generations: async () => {
      const all = await processesWith("APP_REPORT", reportFile);
      const apps = all.filter(({ env }) => env.DEWY_GENERATION !== undefined);
      return apps.filter(({ pid, group }) => pid === group);
    },
    reports: async () => {
      const text = await readFile(reportFile, "utf8").catch(() => "");
      return text
        .split("\n")
        .flatMap((line): AppReport[] => (line === "" ? [] : [JSON.parse(line)]));
    },
  };
}

function portFlag(target: Target): string {
  return "path" in target ? `unix:${target.path}` : `${target.host}:${target.port}`;
}

function flagsFor(kind: AppKind): readonly string[] {
  if (kind === "port") return ["--handoff", "proxy", "--health-path", "/"];
  const flags = ["--ready-after", "500ms"];
  return kind === "nginx" ? [...flags, "--signal-on-term", "QUIT"] : flags;
}

/** The whole load an app can take: all ports, all kinds of connections, at the same time. */
export function fullLoad({ kind, targets }: ServedApp): readonly Lane[] {
  const [main, ...others] = targets;
  // It answers one connection at a time.
  if (kind === "python") return [lanes.perRequest(main), lanes.slow(main, 300, 1)];
  return [
    lanes.keepAlive(main),
    lanes.perRequest(main),
    lanes.slow(main, SLOW_MS),
    ...others.flatMap((target) => [lanes.keepAlive(target, 1), lanes.perRequest(target, 1)]),
  ];
}

/**
 * Starts a load that stops with the test, and waits for the first answer: on a busy machine that
 * takes a while.
 */
export async function startTestLoad(lanesOfLoad: readonly Lane[]): Promise<RunningLoad> {
  const load = await startLoad(lanesOfLoad);
  onTestFinished(() => void load.child.kill("SIGKILL"));
  await until(
    () => load.versions().length > 0,
    () => "the first answer",
  );
  return load;
}

/** Waits until dewy has committed a version, which follows its bake. */
export async function deployed(dewy: Dewy, tag: string): Promise<void> {
  await dewy.seen(`the deploy of ${tag}`, (line) => line.msg === "Deployed" && line.tag === tag);
}

export async function stateOf({ cwd }: ServedApp): Promise<DeployState> {
  return JSON.parse(await readFile(join(cwd, ".dewy", "state.json"), "utf8"));
}

/** Publishes a version and waits until it has answered the load, and is committed. */
export async function switchTo(
  app: ServedApp,
  dewy: Dewy,
  load: RunningLoad,
  version: string,
): Promise<void> {
  await app.publish(version);
  await deployed(dewy, version);
  await until(
    () => load.versions().some((seen) => seen.version === version),
    () => `an answer of ${version}\n${dewy.stderr()}`,
  );
}

/** Expects that no request was lost. */
export function expectNothingLost(result: LoadResult, context: string): void {
  const { failed, reasons, sent, answered } = result.total;
  const stall = `the client itself stood still for ${result.longestStallMs} ms at most`;
  const about = `${JSON.stringify(result.samples)}; ${stall}\n${context}`;
  expect({ failed, reasons }, about).toEqual({ failed: 0, reasons: {} });
  expect(answered, about).toBe(sent);
  expect(answered).toBeGreaterThan(0);
}

/**
 * Expects that the app and the client counted the same answers, once all generations have exited by
 * themselves.
 */
export async function expectSameCounts(app: ServedApp, result: LoadResult): Promise<void> {
  if (app.kind === "nginx") {
    const log = await readFile(`${app.reportFile}.access`, "utf8");
    expect(log.split("\n").filter((line) => / 200 /.test(line)).length).toBe(result.total.answered);
    return;
  }
  const seen = new Set(result.versions.map(({ version }) => version));
  const reports = (await app.reports()).filter(({ version }) => seen.has(version));
  const stopped = reports.filter(({ event }) => event === "stopped");
  expect(stopped.length).toBe(reports.length - stopped.length);
  const answered = stopped.reduce((sum, report) => sum + report.answered, 0);
  // The proxy also sends health checks.
  if (app.kind === "port") expect(answered).toBeGreaterThanOrEqual(result.total.answered);
  else expect(answered).toBe(result.total.answered);
}

/** Waits until exactly one generation runs, of the live release, and returns its version. */
export async function expectOneGeneration(app: ServedApp, about: () => string): Promise<string> {
  let running: AppProcess[] = [];
  await until(
    async () => {
      running = await app.generations();
      return running.length === 1;
    },
    () => `one generation, not ${running.map(({ pid }) => pid).join(", ")}\n${about()}`,
  );
  const version = await liveVersion(app.cwd);
  expect(running[0]?.env.DEWY_TAG, about()).toBe(version);
  return version ?? "";
}
