/**
 * From a command line to what a command is told: everything typed, checked and with its default.
 *
 * @module
 */

import { type ContainerListConfig, readContainerList } from "../container/admin/list_config.ts";
import { type ContainerConfig, readContainer } from "../container/config.ts";
import { readServer, type ServerConfig } from "../server/config.ts";
import { type AskConfig, readAsk } from "./flags/ask.ts";
import { type AssetsConfig, readAssets } from "./flags/assets.ts";
import type { ParsedArgv } from "./flags/parse.ts";
import { type RegistryConfig, readGateway } from "./flags/registry.ts";
import type { CommandName } from "./flags/table.ts";

/** What a command is told. */
export type Config = DeployingConfig | ContainerListConfig | AskConfig | RegistryConfig;
/** What a command that deploys is told. */
export type DeployingConfig = AssetsConfig | ServerConfig | ContainerConfig;

const DEPLOYING: readonly Config["command"][] = ["assets", "server", "container"];

/**
 * Tells the commands that deploy from those that only ask.
 *
 * @param config what a command is told.
 * @returns whether it deploys.
 */
export function isDeploying(config: Config): config is DeployingConfig {
  return DEPLOYING.includes(config.command);
}

/**
 * Checks a command line and fills in the defaults of the flag table.
 *
 * @param command the command.
 * @param argv its command line.
 * @returns what the command is told.
 * @throws ConfigError that names the flag.
 */
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
