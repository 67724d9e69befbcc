import type { Clock } from "../../core/clock.ts";
import { DeployError, HostError } from "../../core/error.ts";
import type { ContainerEngine } from "../../host/container/engine.ts";
import { probeHttp, probeTcp } from "../../host/proxy/probe.ts";
import type { ProxyProtocol } from "../../host/proxy/proxy_header.ts";
import type { ContainerRelease } from "./container_release.ts";
import { describeEnd, EndedError, isRunning, type Replica } from "./replica.ts";
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

const PROBE_TIMEOUT_MS = 5_000;
const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 1_000;
/** Asking the engine starts a program: not after each of the first, quick probes. */
const INSPECT_FROM_PAUSE_MS = 250;
/** Of a HEALTHCHECK that the operator has brought. https://docs.docker.com/reference/dockerfile/#healthcheck */
const DEFAULT_INTERVAL_MS = 30_000;
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
  release: Pick<ContainerRelease, "healthcheck" | "containerPorts" | "exposedPorts">,
  options: HealthOptions,
  signal: AbortSignal,
): Promise<void> {
  const { clock, path } = options;
  const asksEngine = path === undefined && replica.hasHealthcheck;
  // The engine does not run a HEALTHCHECK before the first interval is over.
  const intervalMs = asksEngine ? (release.healthcheck?.intervalMs ?? DEFAULT_INTERVAL_MS) : 0;
  const timeoutMs = options.timeoutMs + intervalMs;
  const over = new AbortController();
  const either = AbortSignal.any([signal, replica.ended, over.signal]);
  let why = "";
  const timeout = clock.sleep(timeoutMs, either).then(() => {
    const seen = `${why}${portHint(release)}`;
    throw new DeployError("verify", `it was not healthy within ${timeoutMs / 1_000} s${seen}`);
  });
  const healthy = untilHealthy(replica, asksEngine, options, either, (reason) => {
    why = `: ${reason}`;
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
  options: HealthOptions,
  signal: AbortSignal,
  tell: (reason: string) => void,
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
      tell(error instanceof Error ? error.message : String(error));
    }
    if (pauseMs >= INSPECT_FROM_PAUSE_MS) await mustRun(replica, options, signal);
    await options.clock.sleep(pauseMs, signal);
  }
}

/** The engine's own forwarder may have accepted the first connection, and the app may end at once. */
async function settled(
  replica: Replica,
  options: HealthOptions,
  signal: AbortSignal,
): Promise<void> {
  await options.clock.sleep(SETTLE_MS, signal);
  await probeReplica(replica, options, signal);
}

async function engineSaysHealthy(
  { id }: Replica,
  { engine }: HealthOptions,
  signal: AbortSignal,
): Promise<void> {
  const container = await engine.inspect(id, signal);
  if (!isRunning(container)) throw new EndedError(describeEnd(container));
  if (container.health === "unhealthy") {
    throw new DeployError("verify", "its HEALTHCHECK says that it is unhealthy");
  }
  if (container.health === "starting") throw new Error('its HEALTHCHECK still says "starting"');
}

async function mustRun(
  { id }: Replica,
  { engine }: HealthOptions,
  signal: AbortSignal,
): Promise<void> {
  const container = await engine.inspect(id, signal);
  if (!isRunning(container)) throw new EndedError(describeEnd(container));
}
