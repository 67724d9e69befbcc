import type { CommandContext } from "../agent/context.ts";
import { ConfigError } from "../core/error.ts";
import type { EventSink } from "../core/event.ts";
import { steadyClock } from "../host/process/steady_clock.ts";
import type { ProxyAddress } from "../host/proxy/listen_address.ts";
import { type ProxyObserver, startTcpProxy, type TcpProxy } from "../host/proxy/tcp_proxy.ts";
import { type HeldSocket, holdSockets } from "../host/sockets/hold_sockets.ts";
import { inheritedSockets } from "../host/sockets/inherited.ts";
import { formatListenSpec, type ListenSpec } from "../host/sockets/listen_spec.ts";
import type { ContainerConfig } from "./config.ts";
import { listenSpecs } from "./options/ports.ts";
import type { Route, ServiceProxy } from "./replicas/backends.ts";

/** The proxy of `dewy container`. Its ports are closed at first. */
export interface ContainerProxy extends ServiceProxy {
  /** Opens the ports of the flags. From then on, clients wait for the first backend. */
  openKnown(): Promise<void>;
  /** Throws a ConfigError if a release needs other ports than the open ones. */
  check(containerPorts: readonly number[]): void;
  /** Measures the connections of all ports, also of those that are opened later. */
  observe(observer: ProxyObserver): void;
}

type OpenedProxy =
  | { kind: "open"; proxy: ContainerProxy }
  /** Another process did the work and has exited. */
  | { kind: "ended"; exitCode: number };

/** Takes over the sockets of systemd or a server-starter, if there are any. */
export async function openContainerProxy(
  config: ContainerConfig,
  root: string,
  { env, emit, signals }: Pick<CommandContext, "env" | "emit" | "signals">,
): Promise<OpenedProxy> {
  const specs = config.mappings.map(({ listen }) => listen);
  let addresses = specs.map(addressOf);
  if (inheritedSockets(env).length > 0) {
    const argv = process.argv.slice(2);
    const held = await holdSockets(specs, { env, emit, signals, root, argv });
    if (held.kind === "ended") return held;
    addresses = inOrder(specs, held.holder.sockets);
  }
  return { kind: "open", proxy: createProxy(config, addresses, emit) };
}

/** Sorts sockets, which come in the order of their descriptors, in the order of the flags. */
function inOrder(specs: readonly ListenSpec[], sockets: readonly HeldSocket[]): ProxyAddress[] {
  const named = specs.map((spec) => sockets.find(({ name }) => name === formatListenSpec(spec)));
  const found = named.filter((socket) => socket !== undefined);
  const ordered = found.length === specs.length && found.length > 0 ? found : sockets;
  return ordered.map(({ fd }) => ({ fd }));
}

function addressOf(spec: ListenSpec): ProxyAddress {
  return spec.kind === "unix" ? { path: spec.path } : { host: spec.host, port: spec.port };
}

function createProxy(
  config: ContainerConfig,
  addresses: readonly ProxyAddress[],
  emit: EventSink,
): ContainerProxy {
  const { mappings, proxyIdleTimeoutMs: idleTimeoutMs, balance, proxyProtocol, hosts } = config;
  const routes: Route[] = [];
  let observer: ProxyObserver | undefined;
  const open = async (listen: ProxyAddress, containerPort: number | undefined): Promise<void> => {
    const options = { listen, idleTimeoutMs, balance, proxyProtocol, clock: steadyClock, emit };
    const proxy = await startTcpProxy(options);
    if (observer !== undefined) proxy.observe(observer);
    routes.push({ proxy, containerPort });
    emit({ type: "listening", url: urlOf(proxy.address), protocols: "TCP" });
  };
  const check = (containerPorts: readonly number[]): void => {
    const [opened] = routes;
    const [port] = containerPorts;
    if (mappings.length > 0 || opened === undefined || opened.containerPort === port) return;
    throw new ConfigError(
      `the image exposes port ${port}, but dewy listens on ${opened.containerPort} as for the previous image; set the port: --port ${opened.containerPort}:${port}`,
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
    observe: (next) => {
      observer = next;
      for (const { proxy } of routes) proxy.observe(next);
    },
  };
}

function urlOf({ host, port }: TcpProxy["address"]): string {
  return `tcp://${host.includes(":") ? `[${host}]` : host}:${port}`;
}
