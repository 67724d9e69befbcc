import type { Clock } from "../../core/clock.ts";
import { DeployError, type Fault, faultOf, HostError } from "../../core/error.ts";
import { messageOf } from "../../core/message_of.ts";
import { probeHttp, probeTcp } from "../../host/proxy/probe.ts";
import type { ProxyProtocol } from "../../host/proxy/proxy_header.ts";
import type { ContainerEngine, EngineContainer } from "../engine/engine.ts";
import type { ContainerRelease } from "./container_release.ts";
import { endOf, isRunning, type Replica } from "./replica.ts";
import type { Rotation } from "./rotation.ts";

/** When a replica counts as healthy. */
export interface HealthOptions {
  /** What answers 2xx or 3xx on the first port; absent: the image's HEALTHCHECK, or else an open port. */
  path: string | undefined;
  /** What containers expect before anything else. */
  proxyProtocol: ProxyProtocol | undefined;
  /** How long it may take, in milliseconds. */
  timeoutMs: number;
  engine: ContainerEngine;
  rotation: Rotation;
  clock: Clock;
}

/** The same, and what of the engine is needed to find out. */
type HealthQuestions = Omit<HealthOptions, "engine"> & { engine: EnginePatience };

const PROBE_TIMEOUT_MS = 5_000;
/** Longer than an engine takes that is merely busy. */
const ENGINE_PATIENCE_MS = 5_000;
const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 1_000;
/** Asking the engine starts a program: not after each of the first, quick probes. */
const INSPECT_FROM_PAUSE_MS = 250;
/** How long a container must have gone on running after its port was open, where nothing else says that it is well. */
const SETTLE_MS = 2_000;

/**
 * Asks a replica once whether it can serve.
 *
 * @param replica the replica.
 * @param options the path.
 * @param signal ends the question.
 * @throws HostError with what was seen instead; AbortedError.
 */
export async function probeReplica(
  replica: Replica,
  { path, proxyProtocol, rotation }: Pick<HealthOptions, "path" | "proxyProtocol" | "rotation">,
  signal: AbortSignal,
): Promise<void> {
  const addresses = rotation.addresses(replica);
  if (addresses.length === 0) throw new HostError("none of its ports is published");
  const probes = addresses.map(({ host, port }, index) => {
    const probe = { host, port, timeoutMs: PROBE_TIMEOUT_MS, proxyProtocol, signal };
    return index === 0 && path !== undefined ? probeHttp({ ...probe, path }) : probeTcp(probe);
  });
  await Promise.all(probes);
}

/**
 * Waits until a replica can serve.
 *
 * @param replica a container that was just started.
 * @param release what it was started from.
 * @param options when it counts as healthy.
 * @param signal ends the waiting.
 * @throws DeployError with the reason when it ends, says that it is unhealthy, or takes too long; whatever the signal
 * was ended with.
 */
export async function becomeHealthy(
  replica: Replica,
  release: Pick<ContainerRelease, "containerPorts" | "exposedPorts">,
  options: HealthOptions,
  signal: AbortSignal,
): Promise<void> {
  const { clock, path } = options;
  const asksEngine = path === undefined && replica.hasHealthcheck;
  // The engine does not run a HEALTHCHECK before the first interval is over.
  const intervalMs = asksEngine ? replica.checkEveryMs : 0;
  const timeoutMs = options.timeoutMs + intervalMs;
  const over = new AbortController();
  const either = AbortSignal.any([signal, replica.ended, over.signal]);
  const patience = new EnginePatience(options.engine, clock);
  let why = "";
  let fault: Fault = "release";
  const timeout = clock.sleep(timeoutMs, either).then(() => {
    patience.throwIfOver();
    const hint = portHint(release);
    const text = `it was not healthy within ${timeoutMs / 1_000} s${why}${hint}`;
    throw new DeployError("verify", text, { fault: hint === "" ? fault : "operator" });
  });
  const asked = { ...options, engine: patience };
  const healthy = untilHealthy(replica, asksEngine, asked, either, (error) => {
    why = `: ${messageOf(error)}`;
    fault = faultOf(error);
  });
  try {
    await Promise.race([healthy, timeout]);
  } catch (error) {
    signal.throwIfAborted();
    replica.ended.throwIfAborted();
    throw error;
  } finally {
    over.abort();
    for (const loser of [timeout, healthy]) loser.catch(() => {});
  }
}

/** Tells an engine that does not answer from an app that is not healthy. */
class EnginePatience implements Pick<ContainerEngine, "inspect"> {
  readonly #engine: ContainerEngine;
  readonly #clock: Clock;
  #askedAt: number | undefined;

  constructor(engine: ContainerEngine, clock: Clock) {
    this.#engine = engine;
    this.#clock = clock;
  }

  async inspect(id: string, signal: AbortSignal): Promise<EngineContainer | undefined> {
    this.#askedAt = this.#clock.now();
    try {
      return await this.#engine.inspect(id, signal);
    } finally {
      this.#askedAt = undefined;
    }
  }

  /** The same version may well become healthy once the engine answers. */
  throwIfOver(): void {
    const waitedMs = this.#clock.now() - (this.#askedAt ?? this.#clock.now());
    if (waitedMs < ENGINE_PATIENCE_MS) return;
    throw new HostError(
      `Cannot tell whether it is healthy: the engine has not answered for ${Math.round(waitedMs / 1_000)} s`,
    );
  }
}

/** The operator may have told a port that nothing in the container listens on. */
function portHint({
  containerPorts,
  exposedPorts,
}: Pick<ContainerRelease, "containerPorts" | "exposedPorts">): string {
  const strange = containerPorts.filter((port) => !exposedPorts.includes(port));
  if (strange.length === 0 || exposedPorts.length === 0) return "";
  return `; the image exposes ${exposedPorts.join(", ")}, not ${strange.join(", ")}: check --port and --container-port`;
}

async function untilHealthy(
  replica: Replica,
  asksEngine: boolean,
  options: HealthQuestions,
  signal: AbortSignal,
  tell: (error: unknown) => void,
): Promise<void> {
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(LONGEST_PAUSE_MS, pauseMs * 1.5)) {
    try {
      if (asksEngine) await engineSaysHealthy(replica, options, signal);
      await probeReplica(replica, options, signal);
      if (options.path === undefined && !asksEngine) await settled(replica, options, signal);
      await mustRun(replica, options, signal);
      return;
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof DeployError) throw error;
      tell(error);
    }
    if (pauseMs >= INSPECT_FROM_PAUSE_MS) await mustRun(replica, options, signal);
    await options.clock.sleep(pauseMs, signal);
  }
}

/** The engine's own forwarder may have accepted the first connection, and the app may end at once. */
async function settled(
  replica: Replica,
  options: HealthQuestions,
  signal: AbortSignal,
): Promise<void> {
  await options.clock.sleep(SETTLE_MS, signal);
  await probeReplica(replica, options, signal);
}

async function engineSaysHealthy(
  replica: Replica,
  options: HealthQuestions,
  signal: AbortSignal,
): Promise<void> {
  const { health } = await mustRun(replica, options, signal);
  if (health === "unhealthy") {
    throw new DeployError("verify", "its HEALTHCHECK says that it is unhealthy", {
      fault: "release",
    });
  }
  if (health === "starting") {
    throw new HostError('its HEALTHCHECK still says "starting"', { fault: "release" });
  }
}

async function mustRun(
  replica: Replica,
  { engine }: HealthQuestions,
  signal: AbortSignal,
): Promise<EngineContainer> {
  const container = await engine.inspect(replica.id, signal);
  if (!isRunning(container)) throw endOf(container, replica.wasOutOfSight);
  if (container.status === "paused") throw new HostError("it was paused");
  return container;
}
