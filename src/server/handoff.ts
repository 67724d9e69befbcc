import { lockPath } from "../agent/agent.ts";
import type { CommandContext } from "../agent/context.ts";
import { acquireLock } from "../host/process/lock.ts";
import { steadyClock } from "../host/process/steady_clock.ts";
import type { ProxyAddress } from "../host/proxy/listen_address.ts";
import type { HealthChecks } from "../host/proxy/probe.ts";
import { startTcpProxy, type TcpProxy } from "../host/proxy/tcp_proxy.ts";
import { type HeldSocket, holdSockets } from "../host/sockets/hold_sockets.ts";
import { holderOf, inheritedSockets } from "../host/sockets/inherited.ts";
import { formatListenSpec, type ListenSpec } from "../host/sockets/listen_spec.ts";
import { findAbandonedHolder } from "../host/sockets/take_over.ts";
import type { ServerConfig } from "./config.ts";
import { type GenerationProcesses, terminate } from "./supervisor/generation.ts";
import { type Handoff, noHandoff, proxyHandoff, socketHandoff } from "./supervisor/handoff.ts";

const PROBE_TIMEOUT_MS = 5_000;

export interface OpenHandoff {
  handoff: Handoff;
  withPort: boolean;
  /** Empty without `--handoff proxy`. */
  proxies: readonly TcpProxy[];
  healthChecks: HealthChecks;
}

/**
 * Opens the ports as `--handoff` requires; `orphans` are generations of an earlier dewy process. Returns the exit code if
 * another dewy process has run in place of this one.
 */
export async function openHandoff(
  config: ServerConfig,
  root: string,
  orphans: readonly GenerationProcesses[],
  context: CommandContext,
): Promise<OpenHandoff | number> {
  const { env, emit, signals, argv } = context;
  const { ports, handoff: kind } = config;
  const isHeld = holderOf(env) !== undefined || inheritedSockets(env).length > 0;
  const keepsPort = kind !== "proxy" && ports.length > 0 && !isHeld && orphans.length > 0;
  if (keepsPort && (kind === "none" || findAbandonedHolder(ports, root) === undefined)) {
    await stopOrphans(config, root, orphans, context);
  }
  const hasPorts = ports.length > 0;
  if (kind === "none") return withoutProxy(noHandoff, hasPorts);
  if (kind === "proxy" && !isHeld) return openProxies(config, ports.map(addressOf), context);
  if (!hasPorts && !isHeld) return withoutProxy(socketHandoff([]), false);
  const held = await holdSockets(ports, { env, emit, signals, root, argv });
  if (held.kind === "ended") return held.exitCode;
  const { sockets } = held.holder;
  if (kind === "proxy") return openProxies(config, sockets, context);
  const handoff = { ...socketHandoff(sockets), close: () => held.holder.close() };
  return withoutProxy(handoff, sockets.length > 0);
}

function withoutProxy(handoff: Handoff, withPort: boolean): OpenHandoff {
  return { handoff, withPort, proxies: [], healthChecks: { total: 0, failures: 0 } };
}

/** Without a holder that outlived the earlier dewy process, its app still has the port, so there is a short outage. */
async function stopOrphans(
  config: ServerConfig,
  root: string,
  orphans: readonly GenerationProcesses[],
  { clock, emit }: CommandContext,
): Promise<void> {
  const lock = await acquireLock(lockPath(root), config.command);
  try {
    emit({
      type: "warning",
      important: true,
      message:
        "Stopping the app of an earlier dewy process, which has the port; connections fail until the new app is ready",
      fields: { ports: config.ports.map(formatListenSpec).join(","), pid: orphans[0]?.pid ?? 0 },
    });
    const { signalOnTerm: signalName, drainTimeMs: graceMs } = config;
    await Promise.all(orphans.map((orphan) => terminate(orphan, { signalName, graceMs, clock })));
  } finally {
    await lock.release();
  }
}

function addressOf(spec: ListenSpec): ProxyAddress {
  return spec.kind === "unix" ? { path: spec.path } : { host: spec.host, port: spec.port };
}

async function openProxies(
  config: ServerConfig,
  addresses: readonly (ProxyAddress | HeldSocket)[],
  { clock, emit }: CommandContext,
): Promise<OpenHandoff> {
  const proxies: TcpProxy[] = [];
  const healthChecks = { total: 0, failures: 0 };
  for (const address of addresses) {
    const listen = "fd" in address ? { fd: address.fd } : address;
    proxies.push(await startTcpProxy({ listen, clock: steadyClock, emit }));
  }
  const { healthPath } = config;
  const probing = { healthPath, probeTimeoutMs: PROBE_TIMEOUT_MS, healthChecks, clock };
  return { handoff: proxyHandoff({ proxies, ...probing }), withPort: true, proxies, healthChecks };
}
