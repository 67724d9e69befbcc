import type { DeployConfig } from "../cli/flags/deploy.ts";
import type { AppStatus } from "../control/protocol.ts";
import type { Registry } from "../core/types.ts";
import type { DeployContext, Deployer } from "../deploy/deployer.ts";
import type { LocatorBase } from "../registries/driver.ts";

export type AgentConfig = DeployConfig & { command: string };

export interface Agent {
  config: AgentConfig;
  /** Names the instance for other commands. Defaults to the directory's name. */
  name?: string | undefined;
  root: string;
  registry: Registry;
  /** The registry's URL as parsed: the version policy. */
  locator: LocatorBase;
  deployer: Deployer;
  /** Absent for `dewy assets`, which runs no app. */
  supervision?: Supervision;
}

/** An app that is kept running while dewy polls. */
export interface Supervision {
  /** Called once dewy holds the directory's lock: adopts what an earlier dewy process has left running. */
  adopt?(): Promise<void>;
  /** Called after recovery: runs the live release. Never waits for the network. */
  begin(context: DeployContext): Promise<void>;
  restart(signal: AbortSignal): Promise<void>;
  /** For `dewy status`. */
  appStatus?(): AppStatus;
  end(): Promise<void>;
}
