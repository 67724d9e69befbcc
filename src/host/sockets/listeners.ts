import { lookup } from "node:dns/promises";
import { chmodSync, renameSync, rmSync } from "node:fs";
import { createServer, isIP, type ListenOptions, type Server } from "node:net";
import { HostError } from "../../core/error.ts";
import { bindError } from "./bind_error.ts";
import { type ListenSpec, MAX_PATH_BYTES } from "./listen_spec.ts";
import { socketName } from "./socket_name.ts";
import { freeUnixPath } from "./unix_path.ts";

/** A socket that listens, and that this process must not go on holding. */
export interface Listener {
  readonly name: string;
  readonly fd: number;
  /** Closes this process's own descriptor; whoever inherited it keeps the socket. */
  close(): void;
}

/** What the kernel keeps waiting while a generation is busy; Bun makes it 512. */
const BACKLOG = 2_048;

/**
 * Finds out where sockets can be opened: resolves names, clears away what a dead server left behind.
 *
 * @param specs where to listen.
 * @returns what {@link listenAll} takes.
 * @throws HostError when somebody answers on a unix socket's path.
 */
export async function prepareAddresses(
  specs: readonly ListenSpec[],
): Promise<readonly PreparedAddress[]> {
  return Promise.all(
    specs.map(async (spec) => {
      if (spec.kind === "unix") await freeUnixPath(spec);
      return { spec, host: spec.kind === "tcp" ? await literal(spec) : undefined };
    }),
  );
}

/** Where a socket can be opened. */
export interface PreparedAddress {
  readonly spec: ListenSpec;
  /** An IP address; `undefined` for all, and for a path. */
  readonly host: string | undefined;
}

async function literal(spec: ListenSpec & { kind: "tcp" }): Promise<string | undefined> {
  if (spec.host === undefined || isIP(spec.host) !== 0) return spec.host;
  try {
    const found = await lookup(spec.host, { all: true });
    // As Go's net.Listen does: of several addresses, one of IPv4.
    return (found.find(({ family }) => family === 4) ?? found[0])?.address;
  } catch (error) {
    throw bindError(spec, error);
  }
}

/**
 * Opens sockets. The event loop does not turn in here: runtimes begin to accept when it does, so the caller has to
 * hand the descriptors on and close them without waiting for anything.
 *
 * @param addresses from {@link prepareAddresses}.
 * @returns one listener for each, in that order.
 * @throws HostError, after closing what was opened.
 */
export async function listenAll(
  addresses: readonly PreparedAddress[],
): Promise<readonly Listener[]> {
  const opened: Listener[] = [];
  try {
    for (const address of addresses) opened.push(await listen(address));
    return opened;
  } catch (error) {
    for (const listener of opened) listener.close();
    throw error;
  }
}

async function listen({ spec, host }: PreparedAddress): Promise<Listener> {
  // `exclusive`: a worker of a cluster would ask its primary.
  const options = { exclusive: true, backlog: BACKLOG };
  if (spec.kind === "unix") {
    const path = temporaryPath(spec.path);
    rmSync(path, { force: true });
    const server = await bound(spec, { ...options, path });
    try {
      // A path that is renamed stays when the runtime removes the one it knows.
      chmodSync(path, 0o666 & ~process.umask());
      renameSync(path, spec.path);
    } catch (error) {
      server.close();
      throw bindError(spec, error);
    }
    return listener(spec, server);
  }
  const server = await bound(spec, {
    ...options,
    port: spec.port,
    ...(host === undefined ? {} : { host }),
  });
  return listener(spec, server);
}

function temporaryPath(path: string): string {
  const longer = `${path}~`;
  return Buffer.byteLength(longer) <= MAX_PATH_BYTES ? longer : `${path.slice(0, -1)}~`;
}

/** Binding an IP address or a path takes a few ticks, but no turn of the event loop, on any of the runtimes. */
function bound(spec: ListenSpec, options: ListenOptions): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", (error) => reject(bindError(spec, error)));
    server.once("listening", () => resolve(server));
    server.listen(options);
  });
}

function listener(spec: ListenSpec, server: Server): Listener {
  const fd = descriptorOf(server);
  if (fd === undefined) {
    server.close();
    throw new HostError(
      "Cannot get at the descriptor of a listening socket on this runtime. Use --handoff proxy, or a runtime of the supported versions",
      { retryable: false },
    );
  }
  return { name: socketName(spec), fd, close: () => void server.close() };
}

/** Undocumented, and the only way: Node and Bun keep it as a property, Deno gives a duplicate. */
function descriptorOf(server: Server): number | undefined {
  const { _handle: handle } = server as unknown as {
    _handle?: { fd?: number; fdForIpc?: () => number } | null;
  };
  const fd = handle?.fd ?? -1;
  const found = fd >= 0 ? fd : handle?.fdForIpc?.();
  return found !== undefined && found >= 0 ? found : undefined;
}
