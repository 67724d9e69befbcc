import { ConfigError } from "../../mod.ts";
import type { AssetsConfig } from "../../src/cli/flags/assets.ts";
import { parseArgv } from "../../src/cli/flags/parse.ts";
import { run } from "../../src/cli/run.ts";
import { versionText } from "../../src/cli/version.ts";
import { formatListenSpec } from "../../src/host/sockets/listen_spec.ts";
import { openRegistry } from "../../src/registries/open.ts";
import type { ServerConfig } from "../../src/server/config.ts";
import { readConfig } from "../support/read_config.ts";
import { testVectors } from "../support/vectors.ts";
import { fakeProcess } from "./process.ts";

/** How the recorded program ended; of a text, what it begins with or contains. */
interface Recorded {
  exit: number;
  config?: Record<string, unknown> | null;
  stdoutContains?: string;
  stderrContains?: string;
  stderr?: string;
}

testVectors(
  "cli",
  async ({ in: input, out }) => {
    const argv = input.argv as string[];
    const recorded = out as Recorded;
    const config = accepted(argv);
    if (config === undefined) return stopped(argv, input.version as string[] | undefined, recorded);
    return { exit: 0, config: only(Object.keys(recorded.config ?? {}), asRecorded(config)) };
  },
  ["run"],
);

function accepted(argv: readonly string[]): AssetsConfig | ServerConfig | undefined {
  try {
    const parsed = parseArgv(argv);
    const config = readConfig(parsed.command ?? "check", parsed) as AssetsConfig | ServerConfig;
    openRegistry(config.registry, { calver: config.calver });
    return config;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return undefined;
  }
}

/** The program itself, which ends before it starts anything. */
async function stopped(
  argv: readonly string[],
  version: readonly string[] | undefined,
  recorded: Recorded,
): Promise<Recorded> {
  const io = fakeProcess();
  const exit = await run(argv, io);
  const [number = "", commit = "", builtAt = ""] = version ?? [];
  const out = argv.includes("--version") ? versionText(number, commit, builtAt) : io.out();
  const found = (part: string | undefined, text: string, holds: boolean): string | undefined =>
    part === undefined || holds ? part : text;
  const { stdoutContains, stderrContains, stderr } = recorded;
  return {
    exit,
    ...("config" in recorded ? { config: null } : {}),
    stdoutContains: found(stdoutContains, out, out.includes(stdoutContains ?? "")),
    stderrContains: found(stderrContains, io.err(), io.err().includes(stderrContains ?? "")),
    stderr: found(stderr, io.err(), io.err().startsWith(stderr?.trimEnd() ?? "")),
  } as Recorded;
}

function asRecorded(config: AssetsConfig | ServerConfig): Record<string, unknown> {
  return {
    command: config.command,
    interval: config.intervalMs / 1000,
    logLevel: (config.logLevel ?? "error").toUpperCase(),
    logFormat: config.logFormat ?? "text",
    registry: config.registry,
    slot: config.slot ?? "",
    calver: config.calver ?? "",
    notifier: config.notifiers[0] ?? "",
    beforeDeployHook: config.beforeDeployHook ?? "",
    afterDeployHook: config.afterDeployHook ?? "",
    server: config.command === "server" ? serverAsRecorded(config) : undefined,
  };
}

function serverAsRecorded(config: ServerConfig): Record<string, unknown> {
  const [command = "", ...args] = config.program ?? [];
  return {
    ports: config.ports.map(formatListenSpec),
    command,
    args: args.length === 0 ? null : args,
    logFormat: config.logFormat ?? "text",
  };
}

function only(names: readonly string[], all: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(names.map((name) => [name, all[name]]));
}
