import type { Backend } from "../../host/proxy/backend.ts";
import type { TcpProxy } from "../../host/proxy/tcp_proxy.ts";
import type { Replica } from "./replica.ts";

/** A proxy, and the port inside the containers that it leads to. */
export interface Route {
  proxy: TcpProxy;
  /** The port inside the containers; `undefined`: the only one that the image exposes. */
  containerPort: number | undefined;
}

/** The ports that clients connect to. */
export interface Front {
  /** Those that are open. */
  routes(): readonly Route[];
  /**
   * Opens those whose number only an image tells.
   *
   * @param containerPorts the ports inside the containers of a release, in the order of the flags.
   */
  open(containerPorts: readonly number[]): Promise<void>;
  /** Stops to accept; the connections have `drainMs` milliseconds to end. */
  close(drainMs: number): Promise<void>;
}

/** Which replicas clients are sent to. */
export class Rotation {
  readonly #front: Front;

  /** @param front the ports. */
  constructor(front: Front) {
    this.#front = front;
  }

  /**
   * Sends new connections to the replicas that serve and are healthy. Where none is healthy, to all that serve: most
   * likely better than to nobody.
   *
   * @param replicas all there are.
   */
  show(replicas: Iterable<Replica>): void {
    const serving = [...replicas].filter(({ state }) => state === "serving");
    const healthy = serving.filter(({ isHealthy }) => isHealthy);
    const shown = healthy.length > 0 ? healthy : serving;
    this.#front.routes().forEach(({ proxy }, route) => {
      proxy.setBackends(shown.flatMap((replica) => this.#backend(replica, route) ?? []));
    });
  }

  /**
   * Where a replica is reached: one address a route.
   *
   * @param replica the replica.
   * @returns the addresses, in the order of the routes; fewer where it publishes less.
   */
  addresses(replica: Replica): readonly Backend[] {
    return this.#front.routes().flatMap((_, route) => this.#backend(replica, route) ?? []);
  }

  /**
   * Counts connections.
   *
   * @param replica the replica.
   * @returns how many it has on all routes.
   */
  connections(replica: Replica): number {
    return this.#each(replica).reduce(
      (sum, { proxy, backend }) => sum + proxy.connections(backend),
      0,
    );
  }

  /**
   * Cuts the connections of a replica that is out of the rotation.
   *
   * @param replica the replica.
   */
  async cut(replica: Replica): Promise<void> {
    await Promise.all(this.#each(replica).map(({ proxy, backend }) => proxy.drain(backend, 0)));
  }

  #each(replica: Replica): { proxy: TcpProxy; backend: Backend }[] {
    return this.#front.routes().flatMap(({ proxy }, route) => {
      const backend = this.#backend(replica, route);
      return backend === undefined ? [] : [{ proxy, backend }];
    });
  }

  #backend({ ports, name, exposedPort }: Replica, route: number): Backend | undefined {
    const routes = this.#front.routes();
    const wanted = routes[route]?.containerPort ?? exposedPort;
    const exact = ports.find(({ container }) => container === wanted);
    // One of other flags, or of another dewy: where there is but one port on both sides, they mean the same.
    const only = ports.length === 1 && routes.length === 1 ? ports[0] : undefined;
    const port = exact ?? only;
    return port === undefined ? undefined : { host: port.host, port: port.port, name };
  }
}
