import type { CommandContext, DriverTables } from "../agent/context.ts";
import { exitCodeOf } from "../agent/exit_code.ts";
import { ConfigError, DewyError } from "../core/error.ts";
import { printable } from "../core/text.ts";
import { type ProcessIo, SIGNAL_EXIT_CODES } from "../host/process/io.ts";
import type { Config } from "./config.ts";
import type { FleetConfig } from "./flags/fleet_command.ts";
import type { SteerConfig } from "./flags/local.ts";
import { noCommand, type ParsedArgv, parseArgv } from "./flags/parse.ts";
import { type CommandName, commands } from "./flags/table.ts";
import type { HelpTables } from "./help.ts";

/**
 * Runs one command line. The modules of a command are loaded only when it is chosen, so that `--version` and
 * `--help` stay fast.
 *
 * @returns the exit code; a `DewyError` is printed.
 */
export async function run(
  argv: readonly string[],
  io: ProcessIo,
  loadTables: LoadTables = loadDriverTables,
): Promise<number> {
  let parsed: ParsedArgv | undefined;
  try {
    parsed = parseArgv(argv);
    return await dispatch(parsed, io, loadTables);
  } catch (error) {
    const asked = {
      once: parsed?.flag("once") ?? false,
      json: parsed?.flag("json") ?? argv.includes("--json"),
    };
    return await fail(error, parsed?.command ?? commandIn(argv), asked, io, loadTables);
  }
}

async function dispatch(
  parsed: ParsedArgv,
  io: ProcessIo,
  loadTables: LoadTables,
): Promise<number> {
  const { command } = parsed;
  if (parsed.flag("help")) return printHelp(command, io, loadTables);
  if (parsed.flag("version")) return printVersion(io);
  if (command === undefined) throw noCommand(undefined);
  const { loadReader } = await import("./config.ts");
  const read = await loadReader(command);
  return start(read(parsed), io, loadTables);
}

type LoadTables = () => Promise<DriverTables>;

async function loadDriverTables(): Promise<DriverTables> {
  const { hostRegistries: registries } = await import("../host/registries.ts");
  const { notifiers } = await import("../notifiers/table.ts");
  const { caches } = await import("../cache/table.ts");
  return { registries, notifiers, caches };
}

type RunCommand<C> = (config: C, context: CommandContext) => Promise<number>;
type Loaders = {
  [N in CommandName]: () => Promise<RunCommand<Extract<Config, { command: N }>>>;
};

const COMMANDS: Loaders = {
  server: async () => (await import("../server/command.ts")).runServer,
  assets: async () => (await import("./commands/assets.ts")).runAssets,
  container: async () => (await import("../container/command.ts")).runContainer,
  "container list": async () =>
    (await import("../container/admin/list_command.ts")).runContainerList,
  check: async () => (await import("./commands/check.ts")).runCheck,
  explain: async () => (await import("./commands/explain.ts")).runExplain,
  verify: async () => (await import("./commands/verify.ts")).runVerify,
  registry: async () => (await import("./commands/registry.ts")).runRegistry,
  "fleet status": runFleetCommand,
  "fleet resume": runFleetCommand,
  "fleet abort": runFleetCommand,
  "cache prune": async () => (await import("./commands/cache_prune.ts")).runPrune,
  "sign-index": async () => (await import("./commands/sign_index.ts")).runSignIndex,
  status: async () => (await import("./steer/status.ts")).runStatus,
  history: async () => (await import("./steer/history.ts")).runHistory,
  releases: async () => (await import("./steer/releases.ts")).runReleases,
  rollback: runSteering,
  deploy: runSteering,
  pin: runSteering,
  unpin: runSteering,
  pause: runSteering,
  resume: runSteering,
  skip: runSteering,
  unskip: runSteering,
  "trust accept": runSteering,
  poll: runSteering,
  restart: runSteering,
  upgrade: async () => (await import("./upgrade/command.ts")).runUpgrade,
};

async function runFleetCommand(): Promise<RunCommand<FleetConfig>> {
  return (await import("./fleet/command.ts")).runFleet;
}

async function runSteering(): Promise<RunCommand<SteerConfig>> {
  return (await import("./steer/order.ts")).runOrder;
}

async function start(config: Config, io: ProcessIo, loadTables: LoadTables): Promise<number> {
  if (config.command === "server") {
    const { launchServer } = await import("../server/launch.ts");
    const exitCode = await launchServer(config, io);
    if (exitCode !== undefined) return exitCode;
  }
  const { assemble } = await import("./assemble.ts");
  const assembled = await assemble(config, io, await loadTables());
  try {
    const runCommand = (await COMMANDS[config.command]()) as RunCommand<Config>;
    return await runCommand(config, assembled.context);
  } finally {
    await assembled.close();
  }
}

async function printHelp(
  command: ParsedArgv["command"],
  io: ProcessIo,
  loadTables: LoadTables,
): Promise<number> {
  const { commandHelp, programHelp } = await import("./help.ts");
  const { terminalStyle } = await import("./terminal.ts");
  const style = terminalStyle(io.stdout, io.env);
  io.stdout.write(
    command === undefined
      ? programHelp(style)
      : commandHelp(command, drivers(await loadTables()), style),
  );
  return 0;
}

/** A driver with several schemes appears once. */
function drivers({ registries, notifiers, caches }: DriverTables): HelpTables {
  return {
    registries: Object.values(registries),
    caches: Object.values(caches),
    notifiers: [...new Set(Object.values(notifiers))],
  };
}

async function printVersion(io: ProcessIo): Promise<number> {
  const { BUILT_AT, COMMIT, VERSION, versionText } = await import("./version.ts");
  const { BINARY } = await import("../host/process/own_program.ts");
  io.stdout.write(versionText(VERSION, COMMIT, BUILT_AT, BINARY));
  return 0;
}

async function fail(
  error: unknown,
  command: ParsedArgv["command"],
  { once, json }: { once: boolean; json: boolean },
  io: ProcessIo,
  loadTables: LoadTables,
): Promise<number> {
  const stoppedBy = io.signals.stoppedBy();
  if (stoppedBy !== undefined && isAborted(error)) {
    // A script whose command was interrupted must not read exit code 0; stopping an agent is a success.
    return isService(command) && !once ? 0 : SIGNAL_EXIT_CODES[stoppedBy];
  }
  if (!(error instanceof DewyError)) throw error;
  const { redactorOf } = await import("../agent/redactor.ts");
  const { registries, notifiers, caches } = await loadTables();
  const redact = redactorOf(registries, notifiers, caches)(io.env);
  const message = printable(redact(error.message), "\n");
  if (json) {
    const { code, fault, retryable } = error;
    io.stdout.write(`${JSON.stringify({ kind: "error", code, message, fault, retryable })}\n`);
    return exitCodeOf(error);
  }
  io.stderr.write(`Error: ${message}\n`);
  if (error instanceof ConfigError && error.code === "config") {
    io.stderr.write(`See: dewy ${command === undefined ? "" : `${command} `}--help\n`);
  }
  return exitCodeOf(error);
}

const SERVICES: readonly ParsedArgv["command"][] = ["server", "assets", "container", "registry"];

function isService(command: ParsedArgv["command"]): boolean {
  return SERVICES.includes(command);
}

/** The command whose help fits a command line that could not be parsed. */
function commandIn(argv: readonly string[]): ParsedArgv["command"] {
  const names = argv.flatMap((word, index) => [`${word} ${argv[index + 1]}`, word]);
  return names.map((text) => commands.find(({ name }) => name === text)?.name).find(Boolean);
}

function isAborted(error: unknown): boolean {
  return error instanceof Error && (error.name === "AbortError" || error.name === "AbortedError");
}
