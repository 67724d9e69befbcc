import type { Environment } from "../../core/environment.ts";
import { ConfigError } from "../../core/error.ts";
import { type ListenSpec, parseSocketName } from "./listen_spec.ts";
import { listeningSockets, socketInode } from "./socket_table.ts";

export interface NamedSocket {
  /** As `SERVER_STARTER_PORT` names it: `8080`, `127.0.0.1:8080`, `[::]:8080`, `/run/app.sock`. */
  readonly name: string;
  /** Its descriptor in this process, and in every generation. */
  readonly fd: number;
}

export interface InheritedSocket {
  readonly fd: number;
  readonly name: string | undefined;
  /** `undefined` where neither the system nor the name says. */
  readonly address: ListenSpec | undefined;
}

/** https://www.freedesktop.org/software/systemd/man/latest/sd_listen_fds.html */
export const FIRST_DESCRIPTOR = 3;

/** The pid of dewy's own holder. */
export const HOLDER_VARIABLE = "DEWY_HOLDER";
export const RESTARTS_VARIABLE = "DEWY_HOLDER_RESTARTS";

/** Variables about sockets, which must not reach a child by accident. */
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

/** Returns the pid of dewy's own holder if it started this process. */
export function holderOf(env: Environment): number | undefined {
  const pid = Number(env[HOLDER_VARIABLE]);
  return pid > 0 && pid === process.ppid ? pid : undefined;
}

export function inheritedSockets(env: Environment): readonly InheritedSocket[] {
  const named = env.SERVER_STARTER_PORT ? serverStarter(env.SERVER_STARTER_PORT) : [];
  if (holderOf(env) !== undefined) return named.map(withAddress);
  const activated = systemd(env);
  const known = new Set(activated.map(({ fd }) => fd));
  return [...activated, ...named.filter(({ fd }) => !known.has(fd))].map(withAddress);
}

interface Announced {
  readonly fd: number;
  readonly name: string | undefined;
  readonly variable: string;
}

function serverStarter(text: string): readonly Announced[] {
  return text.split(";").map((part) => {
    const at = part.lastIndexOf("=");
    const fd = Number(part.slice(at + 1));
    if (at <= 0 || !Number.isInteger(fd) || fd < FIRST_DESCRIPTOR) {
      throw new ConfigError(
        `Cannot use SERVER_STARTER_PORT="${text}": it does not have the form 8080=3;8081=4. Unset it, unless start_server runs dewy`,
      );
    }
    return { name: part.slice(0, at), fd, variable: `SERVER_STARTER_PORT="${text}"` };
  });
}

function systemd(env: Environment): readonly Announced[] {
  const count = Number(env.LISTEN_FDS);
  if (Number(env.LISTEN_PID) !== process.pid || !Number.isInteger(count)) return [];
  return Array.from({ length: count }, (_, index) => ({
    fd: FIRST_DESCRIPTOR + index,
    name: undefined,
    variable: `LISTEN_FDS=${count}`,
  }));
}

function withAddress({ fd, name, variable }: Announced): InheritedSocket {
  const table = listeningSockets();
  const named = name === undefined ? undefined : parseSocketName(name);
  if (table === undefined) return { fd, name, address: named };
  const inode = socketInode(fd);
  if (inode === undefined) {
    throw new ConfigError(
      `Cannot use descriptor ${fd} of ${variable}: it is not a socket. Unset the variable, or start dewy with the program that set it`,
    );
  }
  const real = table.get(inode);
  // A socket that was renamed after bind() keeps its old path in the table.
  const address = named?.kind === "unix" && real?.kind === "unix" ? named : (real ?? named);
  return { fd, name, address };
}
