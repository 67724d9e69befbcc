import type { Clock } from "../../core/clock.ts";
import { DeployError, type Fault, faultOf, HostError } from "../../core/error.ts";
import { messageOf } from "../../core/message_of.ts";
import { countCheck, type HealthChecks, probeHttp, probeTcp } from "../../host/proxy/probe.ts";
import type { ProxyProtocol } from "../../host/proxy/proxy_header.ts";
import type { ContainerEngine, EngineContainer } from "../engine/engine.ts";
import type { Backends } from "./backends.ts";
import type { ContainerRelease } from "./prepare_release.ts";
import { exitError, isRunning, type Replica } from "./replica.ts";

export interface HealthOptions {
  /** Must answer 2xx or 3xx. Defaults to the image's HEALTHCHECK, or else to an open port. */
  path: string | undefined;
  proxyProtocol: ProxyProtocol | undefined;
  timeoutMs: number;
  engine: ContainerEngine;
  backends: Backends;
  /** Counts the checks. */
  checks: HealthChecks;
  clock: Clock;
}

const PROBE_TIMEOUT_MS = 5_000;
/** Longer than a busy engine takes. */
const ENGINE_TIMEOUT_MS = 5_000;
const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 1_000;
/** Inspecting a container starts a program, so the first quick probes skip it. */
const INSPECT_FROM_PAUSE_MS = 250;
/** How long a port must stay open if there is neither a path nor a HEALTHCHECK. */
const SETTLE_MS = 2_000;

export async function probeReplica(
  replica: Replica,
  options: HealthOptions,
  signal: AbortSignal,
): Promise<void> {
  await countCheck(options.checks, probePorts(replica, options, signal), signal);
}

async function probePorts(
  replica: Replica,
  { path, proxyProtocol, backends }: HealthOptions,
  signal: AbortSignal,
): Promise<void> {
  const addresses = backends.addresses(replica);
  if (addresses.length === 0) throw new HostError("none of its ports is published");
  const probes = addresses.map(({ host, port }, index) => {
    const probe = { host, port, timeoutMs: PROBE_TIMEOUT_MS, proxyProtocol, signal };
    return index === 0 && path !== undefined ? probeHttp({ ...probe, path }) : probeTcp(probe);
  });
  await Promise.all(probes);
}

type Ports = Pick<ContainerRelease, "containerPorts" | "exposedPorts">;

/** Throws a DeployError if the replica exits, fails its HEALTHCHECK, or is not healthy in time. */
export async function waitUntilHealthy(
  replica: Replica,
  ports: Ports,
  options: HealthOptions,
  signal: AbortSignal,
): Promise<void> {
  const over = new AbortController();
  const either = AbortSignal.any([signal, replica.exited, over.signal]);
  const wait = new HealthWait(replica, options, either);
  const healthy = wait.untilHealthy();
  const timeout = options.clock.sleep(wait.timeoutMs, either).then(() => {
    throw wait.timeoutError(ports);
  });
  try {
    await Promise.race([healthy, timeout]);
  } catch (error) {
    signal.throwIfAborted();
    replica.exited.throwIfAborted();
    throw error;
  } finally {
    over.abort();
    for (const loser of [timeout, healthy]) loser.catch(() => {});
  }
}

class HealthWait {
  readonly timeoutMs: number;
  readonly #replica: Replica;
  readonly #options: HealthOptions;
  readonly #signal: AbortSignal;
  readonly #usesHealthcheck: boolean;
  /** When the pending inspection began; `undefined` if none is pending. */
  #inspectingSince: number | undefined;
  #lastError: unknown;

  constructor(replica: Replica, options: HealthOptions, signal: AbortSignal) {
    this.#replica = replica;
    this.#options = options;
    this.#signal = signal;
    this.#usesHealthcheck = options.path === undefined && replica.hasHealthcheck;
    // The engine runs the first HEALTHCHECK after one interval.
    this.timeoutMs = options.timeoutMs + (this.#usesHealthcheck ? replica.checkEveryMs : 0);
  }

  async untilHealthy(): Promise<void> {
    const { clock } = this.#options;
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(LONGEST_PAUSE_MS, pauseMs * 1.5)) {
      try {
        await this.#check();
        return;
      } catch (error) {
        this.#signal.throwIfAborted();
        if (error instanceof DeployError) throw error;
        this.#lastError = error;
      }
      if (pauseMs >= INSPECT_FROM_PAUSE_MS) await this.#inspectRunning();
      await clock.sleep(pauseMs, this.#signal);
    }
  }

  /** If the engine does not answer, the fault is the host's, and a retry may succeed. */
  timeoutError(ports: Ports): Error {
    const now = this.#options.clock.now();
    const inspectingMs = now - (this.#inspectingSince ?? now);
    if (inspectingMs >= ENGINE_TIMEOUT_MS) {
      return new HostError(
        `Cannot check whether it is healthy: the engine has not answered for ${Math.round(inspectingMs / 1_000)} s`,
      );
    }
    const error = this.#lastError;
    const reason = error === undefined ? "" : `: ${messageOf(error)}`;
    const fault: Fault = error === undefined ? "release" : faultOf(error);
    const hint = portHint(ports);
    const text = `it was not healthy within ${this.timeoutMs / 1_000} s${reason}${hint}`;
    return new DeployError("verify", text, { fault: hint === "" ? fault : "operator" });
  }

  async #check(): Promise<void> {
    const { path, clock } = this.#options;
    if (this.#usesHealthcheck) await this.#checkHealthcheck();
    await probeReplica(this.#replica, this.#options, this.#signal);
    if (path === undefined && !this.#usesHealthcheck) {
      // The engine's forwarder may have accepted the connection, and the app may still exit.
      await clock.sleep(SETTLE_MS, this.#signal);
      await probeReplica(this.#replica, this.#options, this.#signal);
    }
    await this.#inspectRunning();
  }

  async #checkHealthcheck(): Promise<void> {
    const { health } = await this.#inspectRunning();
    if (health === "unhealthy") {
      throw new DeployError("verify", "its HEALTHCHECK says that it is unhealthy", {
        fault: "release",
      });
    }
    if (health === "starting") {
      throw new HostError('its HEALTHCHECK still says "starting"', { fault: "release" });
    }
  }

  async #inspectRunning(): Promise<EngineContainer> {
    const { engine, clock } = this.#options;
    this.#inspectingSince = clock.now();
    try {
      const container = await engine.inspect(this.#replica.id, this.#signal);
      if (!isRunning(container)) throw exitError(container, this.#replica);
      if (container.status === "paused") throw new HostError("it was paused");
      return container;
    } finally {
      this.#inspectingSince = undefined;
    }
  }
}

/** Suggests the port flags if they name a port that the image does not expose. */
function portHint({ containerPorts, exposedPorts }: Ports): string {
  const unexposed = containerPorts.filter((port) => !exposedPorts.includes(port));
  if (unexposed.length === 0 || exposedPorts.length === 0) return "";
  return `; the image exposes ${exposedPorts.join(", ")}, not ${unexposed.join(", ")}: check --port and --container-port`;
}
