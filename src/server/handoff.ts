import { lockPath } from "../agent/agent.ts";
import type { CommandContext } from "../agent/context.ts";
import { acquireLock } from "../host/process/lock.ts";
import { steadyClock } from "../host/process/steady_clock.ts";
import type { ProxyAddress } from "../host/proxy/listen_address.ts";
import { startTcpProxy, type TcpProxy } from "../host/proxy/tcp_proxy.ts";
import { type HeldSocket, holdSockets } from "../host/sockets/hold_sockets.ts";
import { holderOf, inheritedSockets } from "../host/sockets/inherited.ts";
import { formatListenSpec, type ListenSpec } from "../host/sockets/listen_spec.ts";
import { findAbandonedHolder } from "../host/sockets/take_over.ts";
import type { ServerConfig } from "./config.ts";
import type { Handoff } from "./supervisor/handoff.ts";
import { noHandoff, proxyHandoff, socketHandoff } from "./supervisor/handoffs.ts";
import { type Endable, retire } from "./supervisor/retire.ts";

/** Either the way to the app, or the exit code of the process that supervises it in our place. */
export type OpenedHandoff =
  | {
      kind: "open";
      handoff: Handoff;
      /** Whether the app has a port, and is no worker. */
      withPort: boolean;
    }
  | { kind: "ended"; exitCode: number };

/** How long one question after the app's health may take. */
const PROBE_TIMEOUT_MS = 5_000;

/**
 * Opens the ports, in the way that `--handoff` says.
 *
 * @param config what the command is told.
 * @param root the working directory.
 * @param orphans generations of an earlier dewy.
 * @returns the handoff.
 * @throws HostError for a port that cannot be had; ConfigError for inherited sockets that nobody asked for.
 */
export async function openHandoff(
  config: ServerConfig,
  root: string,
  orphans: readonly Endable[],
  context: CommandContext,
): Promise<OpenedHandoff> {
  const { env, emit, signals } = context;
  const { ports, handoff: kind } = config;
  const isHeld = holderOf(env) !== undefined || inheritedSockets(env).length > 0;
  const keepsPort = kind !== "proxy" && ports.length > 0 && !isHeld && orphans.length > 0;
  if (keepsPort && (kind === "none" || findAbandonedHolder(ports, root) === undefined)) {
    await endOrphans(config, root, orphans, context);
  }
  const hasPorts = ports.length > 0;
  if (kind === "none") return { kind: "open", handoff: noHandoff, withPort: hasPorts };
  if (kind === "proxy" && !isHeld) {
    const handoff = await openProxies(config, ports.map(addressOf), context);
    return { kind: "open", handoff, withPort: true };
  }
  if (!hasPorts && !isHeld) return { kind: "open", handoff: socketHandoff([]), withPort: false };
  const held = await holdSockets(ports, { env, emit, signals, root, argv: process.argv.slice(2) });
  if (held.kind === "ended") return held;
  const { sockets } = held.holder;
  if (kind === "proxy") {
    return { kind: "open", handoff: await openProxies(config, sockets, context), withPort: true };
  }
  const handoff = { ...socketHandoff(sockets), close: () => held.holder.close() };
  return { kind: "open", handoff, withPort: sockets.length > 0 };
}

/** Without sockets that outlived the dewy before us, its app still has the port: an honest gap. */
async function endOrphans(
  config: ServerConfig,
  root: string,
  orphans: readonly Endable[],
  { clock, emit }: CommandContext,
): Promise<void> {
  const lock = await acquireLock(lockPath(root), config.command);
  try {
    emit({
      type: "warning",
      important: true,
      message:
        "An app that an earlier dewy left behind has the port; nobody answers until the new one is ready",
      fields: { ports: config.ports.map(formatListenSpec).join(","), pid: orphans[0]?.pid ?? 0 },
    });
    const { signalOnTerm, drainTimeMs } = config;
    await Promise.all(orphans.map((orphan) => retire(orphan, signalOnTerm, drainTimeMs, clock)));
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
): Promise<Handoff> {
  const proxies: TcpProxy[] = [];
  for (const address of addresses) {
    const listen = "fd" in address ? { fd: address.fd } : address;
    proxies.push(await startTcpProxy({ listen, clock: steadyClock, emit }));
  }
  const { healthPath } = config;
  return proxyHandoff({ proxies, healthPath, probeTimeoutMs: PROBE_TIMEOUT_MS, clock });
}
