import { lookup } from "node:dns/promises";
import { chmodSync, renameSync, rmSync } from "node:fs";
import { lstat, rm, stat } from "node:fs/promises";
import { connect, createServer, isIP, type ListenOptions, type Server } from "node:net";
import { dirname } from "node:path";
import { HostError } from "../../core/error.ts";
import { addressInUse, bindError } from "./bind_error.ts";
import type { NamedSocket } from "./inherited.ts";
import { type ListenSpec, MAX_PATH_BYTES, socketName } from "./listen_spec.ts";

interface Listener extends NamedSocket {
  /** Closes this process's own descriptor; a child that inherited it keeps the socket. */
  close(): void;
}

/** How many connections the kernel queues while a generation is busy. Bun uses 512. */
const BACKLOG = 2_048;
const UNIX_TIMEOUT_MS = 2_000;

interface PreparedAddress {
  readonly spec: ListenSpec;
  readonly host: string | undefined;
}

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

async function literal(spec: ListenSpec & { kind: "tcp" }): Promise<string | undefined> {
  if (spec.host === undefined || isIP(spec.host) !== 0) return spec.host;
  try {
    const found = await lookup(spec.host, { all: true });
    // Like Go's net.Listen: of several addresses, an IPv4 one.
    return (found.find(({ family }) => family === 4) ?? found[0])?.address;
  } catch (error) {
    throw bindError(spec, error);
  }
}

/** Runtimes accept at the next turn of the event loop: pass the descriptors on and close first. */
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
  // Without `exclusive` a cluster worker would get the socket from its primary.
  const options = { exclusive: true, backlog: BACKLOG };
  if (spec.kind === "unix") {
    const path = temporaryPath(spec.path);
    rmSync(path, { force: true });
    const server = await bound(spec, { ...options, path });
    try {
      // On close the runtime removes the path that it knows; the renamed one stays.
      chmodSync(path, 0o666 & ~process.umask());
      renameSync(path, spec.path);
    } catch (error) {
      server.close();
      throw bindError(spec, error);
    }
    return listener(spec, server);
  }
  return listener(spec, await bound(spec, { ...options, port: spec.port, host }));
}

function temporaryPath(path: string): string {
  const longer = `${path}~`;
  return Buffer.byteLength(longer) <= MAX_PATH_BYTES ? longer : `${path.slice(0, -1)}~`;
}

/** Takes a few ticks, but no turn of the event loop, on any runtime. */
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
      "Cannot access the descriptor of a listening socket on this runtime. Use --handoff proxy, or a supported version of the runtime",
      { retryable: false },
    );
  }
  return { name: socketName(spec), fd, close: () => void server.close() };
}

/** Undocumented, but the only way: Node and Bun have it as a property, Deno returns a duplicate. */
function descriptorOf(server: Server): number | undefined {
  const { _handle: handle } = server as unknown as {
    _handle?: { fd?: number; fdForIpc?: () => number } | null;
  };
  const fd = handle?.fd ?? -1;
  const found = fd >= 0 ? fd : handle?.fdForIpc?.();
  return found !== undefined && found >= 0 ? found : undefined;
}

export async function freeUnixPath(spec: ListenSpec & { kind: "unix" }): Promise<void> {
  const there = await lstat(spec.path).catch(() => undefined);
  if (there === undefined) return checkDirectory(spec.path);
  if (!there.isSocket()) {
    throw new HostError(
      `Cannot listen on unix:${spec.path}: the path exists and is not a socket. Remove it, or choose another path`,
      { retryable: false },
    );
  }
  if (await answers(spec.path)) throw addressInUse(spec);
}

/** Runtimes report "permission denied" for a missing directory. */
async function checkDirectory(path: string): Promise<void> {
  const directory = dirname(path);
  const there = await stat(directory).catch(() => undefined);
  if (there?.isDirectory() === true) return;
  throw new HostError(
    `Cannot listen on unix:${path}: the directory ${directory} does not exist; create it first: mkdir -p ${directory}`,
    { retryable: false },
  );
}

/** Only a refusal proves that there is no listener: one with a full backlog answers EAGAIN. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ path });
    const end = (isAlive: boolean): void => {
      socket.destroy();
      resolve(isAlive);
    };
    socket.setTimeout(UNIX_TIMEOUT_MS, () => end(true));
    socket.once("connect", () => end(true));
    socket.once("error", ({ code }: NodeJS.ErrnoException) =>
      end(code !== "ECONNREFUSED" && code !== "ENOENT"),
    );
  });
}

/** Does nothing if another server has replaced the socket since. */
export async function removeUnixPath(path: string, inode: number | undefined): Promise<void> {
  const there = await lstat(path).catch(() => undefined);
  if (there?.isSocket() === true && there.ino === inode) await rm(path, { force: true });
}
