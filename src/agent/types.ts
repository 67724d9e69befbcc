import type { CacheStore } from "../cache/types.ts";
import type { DeployConfig } from "../cli/flags/deploy.ts";
import type { AdminContainer } from "../control/admin.ts";
import type { AppStatus } from "../control/protocol.ts";
import type { Registry } from "../core/types.ts";
import type { DeployContext, Deployer } from "../deploy/deployer.ts";
import type { ProxyObserver } from "../host/proxy/tcp_proxy.ts";
import type { LocatorBase } from "../registries/driver.ts";
import type { SupervisionMeasures } from "../telemetry/readings.ts";
import type { VerifyPolicy } from "../verify/policy.ts";

export type AgentConfig = DeployConfig & {
  command: string;
  /** Whether hooks get no credentials of dewy. */
  isolateEnv?: boolean;
};

export interface Agent {
  config: AgentConfig;
  /** Names the instance for other commands. Defaults to the directory's name. */
  name?: string | undefined;
  root: string;
  registry: Registry;
  /** The registry's URL as parsed: the version policy. */
  locator: LocatorBase;
  /** The store of `--cache`, through which the hosts of a fleet agree. */
  cache?: CacheStore | undefined;
  deployer: Deployer;
  /** The policy that the deployer verifies. */
  verify: VerifyPolicy;
  /** Absent for `dewy assets`, which runs no app. */
  supervision?: Supervision;
}

/** An app that is kept running while dewy polls. */
export interface Supervision {
  /** Called once dewy holds the directory's lock: adopts what an earlier dewy process has left running. */
  adopt?(): Promise<void>;
  /** Called after recovery: runs the live release. Never waits for the network. */
  begin(context: DeployContext): Promise<void>;
  restart(by: "signal" | "operator", signal: AbortSignal): Promise<void>;
  /** For `dewy status`. */
  appStatus?(): AppStatus;
  /**
   * The last lines of the app's output, oldest first, for the status page: without secrets and control characters, at most
   * 200 lines and 64 KiB.
   */
  lastLines?(signal: AbortSignal): Promise<readonly string[]>;
  /** What only the supervisor can measure, for telemetry. */
  measure?(): SupervisionMeasures;
  /** Sends the times of the proxy's connections to an observer, in place of an earlier one. */
  observeProxy?(observer: ProxyObserver): void;
  /** The containers, for `/api/containers`, and telemetry. */
  containers?(signal: AbortSignal): Promise<readonly AdminContainer[]>;
  end(): Promise<void>;
}
