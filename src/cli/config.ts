import type { ContainerConfig, ContainerListConfig } from "../container/config.ts";
import type { ServerConfig } from "../server/config.ts";
import type { AskConfig } from "./flags/ask.ts";
import type { AssetsConfig } from "./flags/assets.ts";
import type { PruneConfig } from "./flags/cache.ts";
import type { FleetCommandName, FleetConfig } from "./flags/fleet_command.ts";
import type {
  HistoryConfig,
  ReleasesConfig,
  StatusConfig,
  SteerConfig,
  SteerName,
} from "./flags/local.ts";
import type { ParsedArgv } from "./flags/parse.ts";
import type { RegistryConfig } from "./flags/registry.ts";
import type { SignIndexConfig } from "./flags/sign_index.ts";
import type { CommandName } from "./flags/table.ts";
import type { VerifyConfig } from "./flags/verify.ts";
import type { UpgradeConfig } from "./upgrade/config.ts";

/** The commands that act on instances of this machine: they open no registry and no notifier. */
export type LocalConfig = StatusConfig | HistoryConfig | ReleasesConfig | SteerConfig;
export type Config =
  | DeployingConfig
  | ContainerListConfig
  | AskConfig
  | VerifyConfig
  | RegistryConfig
  | SignIndexConfig
  | PruneConfig
  | FleetConfig
  | UpgradeConfig
  | LocalConfig;
type DeployingConfig = AssetsConfig | ServerConfig | ContainerConfig;

const DEPLOYING: readonly Config["command"][] = ["assets", "server", "container"];

export function isDeploying(config: Config): config is DeployingConfig {
  return DEPLOYING.includes(config.command);
}

/** Checks a command line and fills in the defaults of the flag table. Throws a ConfigError that names the flag. */
type ReadConfig = (argv: ParsedArgv) => Config;

export function isAsking(command: Config["command"]): command is "check" | "explain" | "verify" {
  return command === "check" || command === "explain" || command === "verify";
}

/** The modules of other commands stay unloaded. */
export function loadReader(command: CommandName): Promise<ReadConfig> {
  return READERS[command]();
}

const READERS: Readonly<Record<CommandName, () => Promise<ReadConfig>>> = {
  server: async () => (await import("../server/config.ts")).readServer,
  assets: async () => (await import("./flags/assets.ts")).readAssets,
  container: async () => (await import("../container/config.ts")).readContainer,
  "container list": async () => (await import("../container/config.ts")).readContainerList,
  check: () => readerOfQuestion("check"),
  explain: () => readerOfQuestion("explain"),
  verify: async () => (await import("./flags/verify.ts")).readVerify,
  registry: async () => (await import("./flags/registry.ts")).readGateway,
  "cache prune": async () => (await import("./flags/cache.ts")).readPrune,
  "fleet status": () => readerOfFleet("fleet status"),
  "fleet resume": () => readerOfFleet("fleet resume"),
  "fleet abort": () => readerOfFleet("fleet abort"),
  "sign-index": async () => (await import("./flags/sign_index.ts")).readSignIndex,
  status: async () => (await import("./flags/local.ts")).readStatus,
  history: async () => (await import("./flags/local.ts")).readHistory,
  releases: async () => (await import("./flags/local.ts")).readReleases,
  rollback: () => readerOfSteering("rollback"),
  deploy: () => readerOfSteering("deploy"),
  pin: () => readerOfSteering("pin"),
  unpin: () => readerOfSteering("unpin"),
  pause: () => readerOfSteering("pause"),
  resume: () => readerOfSteering("resume"),
  skip: () => readerOfSteering("skip"),
  unskip: () => readerOfSteering("unskip"),
  "trust accept": () => readerOfSteering("trust accept"),
  poll: () => readerOfSteering("poll"),
  restart: () => readerOfSteering("restart"),
  upgrade: async () => (await import("./upgrade/config.ts")).readUpgrade,
};

async function readerOfSteering(command: SteerName): Promise<ReadConfig> {
  const { readSteering } = await import("./flags/local.ts");
  return (argv) => readSteering(command, argv);
}

async function readerOfFleet(command: FleetCommandName): Promise<ReadConfig> {
  const { readFleetCommand } = await import("./flags/fleet_command.ts");
  return (argv) => readFleetCommand(command, argv);
}

async function readerOfQuestion(command: "check" | "explain"): Promise<ReadConfig> {
  const { readAsk } = await import("./flags/ask.ts");
  return (argv) => readAsk(command, argv);
}
