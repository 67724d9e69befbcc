import { type ContainerListConfig, readContainerList } from "../container/admin/list_config.ts";
import { type ContainerConfig, readContainer } from "../container/config.ts";
import { readServer, type ServerConfig } from "../server/config.ts";
import { type AskConfig, readAsk } from "./flags/ask.ts";
import { type AssetsConfig, readAssets } from "./flags/assets.ts";
import type { ParsedArgv } from "./flags/parse.ts";
import { type RegistryConfig, readGateway } from "./flags/registry.ts";
import type { CommandName } from "./flags/table.ts";

/** The configuration of a command: typed, checked and with its defaults. */
export type Config = DeployingConfig | ContainerListConfig | AskConfig | RegistryConfig;
export type DeployingConfig = AssetsConfig | ServerConfig | ContainerConfig;

const DEPLOYING: readonly Config["command"][] = ["assets", "server", "container"];

export function isDeploying(config: Config): config is DeployingConfig {
  return DEPLOYING.includes(config.command);
}

/** @throws ConfigError that names the flag. */
export function readConfig(command: CommandName, argv: ParsedArgv): Config {
  return READERS[command](argv);
}

const READERS: Readonly<Record<CommandName, (argv: ParsedArgv) => Config>> = {
  server: readServer,
  assets: readAssets,
  container: readContainer,
  "container list": readContainerList,
  check: (argv) => readAsk("check", argv),
  explain: (argv) => readAsk("explain", argv),
  registry: readGateway,
};
