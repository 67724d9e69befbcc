import { ConfigError } from "../../core/error.ts";
import type { ListenSpec } from "./listen_spec.ts";
import { parseSocketName } from "./socket_name.ts";
import { listeningSockets, socketInode } from "./socket_table.ts";

/** A socket that this process was started with. */
export interface InheritedSocket {
  readonly fd: number;
  /** As whoever opened it calls it; `undefined` when it has no name. */
  readonly name: string | undefined;
  /** Where it listens; `undefined` where neither the system nor the name tells. */
  readonly address: ListenSpec | undefined;
}

/** Descriptors that are handed over begin here. https://www.freedesktop.org/software/systemd/man/latest/sd_listen_fds.html */
export const FIRST_DESCRIPTOR = 3;

/** Names the holder that dewy started itself; see `holder_script.ts`. */
export const HOLDER_VARIABLE = "DEWY_HOLDER";

/** How often the holder has started dewy again. */
export const RESTARTS_VARIABLE = "DEWY_HOLDER_RESTARTS";

/** What speaks of sockets in an environment, and must reach no child by accident. */
export const SOCKET_VARIABLES: readonly string[] = [
  "LISTEN_FDS",
  "LISTEN_PID",
  "LISTEN_PIDFDID",
  "LISTEN_FDNAMES",
  "SERVER_STARTER_PORT",
  "SERVER_STARTER_GENERATION",
  HOLDER_VARIABLE,
  RESTARTS_VARIABLE,
];

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Whether dewy's own holder has started this process.
 *
 * @param env the environment.
 * @returns the holder's pid, or `undefined`.
 */
export function holderOf(env: Environment): number | undefined {
  const pid = Number(env[HOLDER_VARIABLE]);
  return pid > 0 && pid === process.ppid ? pid : undefined;
}

/**
 * Finds the sockets that systemd (`LISTEN_FDS`) or a server-starter (`SERVER_STARTER_PORT`) has opened for this process.
 *
 * @param env the environment.
 * @returns the sockets, in the order in which they were named.
 * @throws ConfigError when a variable names what is no socket.
 */
export function inheritedSockets(env: Environment): readonly InheritedSocket[] {
  const named = env.SERVER_STARTER_PORT ? serverStarter(env.SERVER_STARTER_PORT) : [];
  if (holderOf(env) !== undefined) return named.map(withAddress);
  const activated = systemd(env);
  const known = new Set(activated.map(({ fd }) => fd));
  return [...activated, ...named.filter(({ fd }) => !known.has(fd))].map(withAddress);
}

interface Named {
  readonly fd: number;
  readonly name: string | undefined;
  readonly variable: string;
}

function serverStarter(text: string): readonly Named[] {
  return text.split(";").map((part) => {
    const at = part.lastIndexOf("=");
    const fd = Number(part.slice(at + 1));
    if (at <= 0 || !Number.isInteger(fd) || fd < FIRST_DESCRIPTOR) {
      throw new ConfigError(
        `Cannot take the sockets of SERVER_STARTER_PORT="${text}": it is not of the form 8080=3;8081=4. Unset it, unless start_server runs dewy`,
      );
    }
    return { name: part.slice(0, at), fd, variable: `SERVER_STARTER_PORT="${text}"` };
  });
}

function systemd(env: Environment): readonly Named[] {
  const count = Number(env.LISTEN_FDS);
  if (Number(env.LISTEN_PID) !== process.pid || !Number.isInteger(count)) return [];
  return Array.from({ length: count }, (_, index) => ({
    fd: FIRST_DESCRIPTOR + index,
    name: undefined,
    variable: `LISTEN_FDS=${count}`,
  }));
}

function withAddress({ fd, name, variable }: Named): InheritedSocket {
  const table = listeningSockets();
  const named = name === undefined ? undefined : parseSocketName(name);
  if (table === undefined) return { fd, name, address: named };
  const inode = socketInode(fd);
  if (inode === undefined) {
    throw new ConfigError(
      `Cannot take descriptor ${fd} of ${variable}: it is no socket. Unset the variable, or start dewy by what set it`,
    );
  }
  const real = table.get(inode);
  // A socket that was renamed after bind() keeps its old path in the table.
  const address = named?.kind === "unix" && real?.kind === "unix" ? named : (real ?? named);
  return { fd, name, address };
}
