import type { Backend } from "../../host/proxy/backend.ts";
import type { TcpProxy } from "../../host/proxy/tcp_proxy.ts";
import type { Replica } from "./replica.ts";

/** A proxy port and the container port behind it. */
export interface Route {
  proxy: TcpProxy;
  /** Defaults to the only port that the image exposes. */
  containerPort: number | undefined;
}

export interface ServiceProxy {
  routes(): readonly Route[];
  /** Opens the ports whose number depends on the image. */
  open(containerPorts: readonly number[]): Promise<void>;
  close(drainMs: number): Promise<void>;
}

export class Backends {
  readonly #proxy: ServiceProxy;

  constructor(proxy: ServiceProxy) {
    this.#proxy = proxy;
  }

  /** Sends new connections to the healthy serving replicas, or to all if none is healthy. */
  update(replicas: Iterable<Replica>): void {
    const serving = [...replicas].filter(({ state }) => state === "serving");
    const healthy = serving.filter(({ isHealthy }) => isHealthy);
    const chosen = healthy.length > 0 ? healthy : serving;
    this.#proxy.routes().forEach(({ proxy }, route) => {
      proxy.setBackends(chosen.flatMap((replica) => this.#backend(replica, route) ?? []));
    });
  }

  /** Skips routes whose port the replica does not publish. */
  addresses(replica: Replica): readonly Backend[] {
    return this.#routesTo(replica).map(({ backend }) => backend);
  }

  connections(replica: Replica): number {
    return this.#routesTo(replica).reduce(
      (sum, { proxy, backend }) => sum + proxy.connections(backend),
      0,
    );
  }

  async closeConnections(replica: Replica): Promise<void> {
    const routes = this.#routesTo(replica);
    await Promise.all(routes.map(({ proxy, backend }) => proxy.drain(backend, 0)));
  }

  #routesTo(replica: Replica): { proxy: TcpProxy; backend: Backend }[] {
    return this.#proxy.routes().flatMap(({ proxy }, route) => {
      const backend = this.#backend(replica, route);
      return backend === undefined ? [] : [{ proxy, backend }];
    });
  }

  #backend({ ports, name, exposedPort }: Replica, route: number): Backend | undefined {
    const routes = this.#proxy.routes();
    const wanted = routes[route]?.containerPort ?? exposedPort;
    const exact = ports.find(({ container }) => container === wanted);
    // With other flags or another dewy, a single port on both sides is the same port.
    const only = ports.length === 1 && routes.length === 1 ? ports[0] : undefined;
    const port = exact ?? only;
    return port === undefined ? undefined : { host: port.host, port: port.port, name };
  }
}
