import type { CommandContext } from "../agent/context.ts";
import { ConfigError } from "../core/error.ts";
import { steadyClock } from "../host/process/steady_clock.ts";
import type { ProxyAddress } from "../host/proxy/listen_address.ts";
import { startTcpProxy, type TcpProxy } from "../host/proxy/tcp_proxy.ts";
import { type HeldSocket, holdSockets } from "../host/sockets/hold_sockets.ts";
import { inheritedSockets } from "../host/sockets/inherited.ts";
import { formatListenSpec, type ListenSpec } from "../host/sockets/listen_spec.ts";
import type { ContainerConfig } from "./config.ts";
import { listenSpecs } from "./options/ports.ts";
import type { Front, Route } from "./replicas/rotation.ts";

/** The ports of `dewy container`, not open yet. */
export interface ContainerFront extends Front {
  /** Opens those whose number the flags tell. Clients wait from then on. */
  openKnown(): Promise<void>;
  /**
   * Says whether a release can stand behind the ports that are open.
   *
   * @param containerPorts the ports inside its containers.
   * @throws ConfigError when it needs another one.
   */
  check(containerPorts: readonly number[]): void;
  /** Counts the backends of all ports that new connections go to. */
  backends(): number;
}

/** Either the ports, or the exit code of the process that does the work in our place. */
export type OpenedFront =
  | { kind: "open"; front: ContainerFront }
  | { kind: "ended"; exitCode: number };

/**
 * Takes over the sockets that systemd or a server-starter has opened. Nothing is opened yet.
 *
 * @param config what the command is told.
 * @param root the working directory.
 * @returns the ports.
 * @throws ConfigError for inherited sockets that nobody asked for.
 */
export async function containerFront(
  config: ContainerConfig,
  root: string,
  context: CommandContext,
): Promise<OpenedFront> {
  const { env, emit, signals } = context;
  const specs = config.mappings.map(({ listen }) => listen);
  if (inheritedSockets(env).length === 0) {
    return { kind: "open", front: makeFront(config, specs.map(addressOf), context) };
  }
  const held = await holdSockets(specs, { env, emit, signals, root, argv: process.argv.slice(2) });
  if (held.kind === "ended") return held;
  return { kind: "open", front: makeFront(config, inOrder(specs, held.holder.sockets), context) };
}

/** Sockets come in the order of their descriptors; the mappings are in the order typed. */
function inOrder(
  specs: readonly ListenSpec[],
  sockets: readonly HeldSocket[],
): readonly ProxyAddress[] {
  const named = specs.map((spec) => sockets.find(({ name }) => name === formatListenSpec(spec)));
  const found = named.filter((socket) => socket !== undefined);
  return (found.length === specs.length && found.length > 0 ? found : sockets).map(({ fd }) => ({
    fd,
  }));
}

function addressOf(spec: ListenSpec): ProxyAddress {
  return spec.kind === "unix" ? { path: spec.path } : { host: spec.host, port: spec.port };
}

function makeFront(
  config: ContainerConfig,
  addresses: readonly ProxyAddress[],
  { emit }: CommandContext,
): ContainerFront {
  const { mappings, proxyIdleTimeoutMs: idleTimeoutMs, balance, proxyProtocol, hosts } = config;
  const routes: Route[] = [];
  const open = async (listen: ProxyAddress, containerPort: number | undefined): Promise<void> => {
    const protocol = proxyProtocol === undefined ? {} : { proxyProtocol };
    const options = { listen, idleTimeoutMs, balance, ...protocol, clock: steadyClock, emit };
    const proxy = await startTcpProxy(options);
    routes.push({ proxy, containerPort });
    emit({ type: "listening", url: urlOf(proxy.address), protocols: "TCP" });
  };
  const check = (containerPorts: readonly number[]): void => {
    const [opened] = routes;
    const [port] = containerPorts;
    if (mappings.length > 0 || opened === undefined || opened.containerPort === port) return;
    throw new ConfigError(
      `the image exposes port ${port}, and dewy listens on ${opened.containerPort} as the image before it; say where to listen: --port ${opened.containerPort}:${port}`,
    );
  };
  return {
    routes: () => routes,
    openKnown: async () => {
      if (mappings.length === 0) return;
      for (const [index, address] of addresses.entries()) {
        await open(address, mappings[index]?.containerPort);
      }
    },
    check,
    open: async (containerPorts) => {
      check(containerPorts);
      const [port] = containerPorts;
      if (routes.length > 0 || port === undefined) return;
      const own = addresses.length > 0 ? addresses : listenSpecs(port, hosts).map(addressOf);
      for (const address of own) await open(address, port);
    },
    close: async (drainMs) => {
      await Promise.all(routes.map(({ proxy }) => proxy.close({ drainMs })));
    },
    backends: () =>
      routes.flatMap(({ proxy }) => proxy.stats().backends).filter(({ inRotation }) => inRotation)
        .length,
  };
}

function urlOf({ host, port }: TcpProxy["address"]): string {
  return `tcp://${host.includes(":") ? `[${host}]` : host}:${port}`;
}
