import { ConfigError, HostError } from "../../core/error.ts";
import { messageOf } from "../../core/message_of.ts";
import { parseHolder } from "./holder.ts";
import { formatListenSpec, type ListenSpec } from "./listen_spec.ts";
import { ownersOfPort, type SocketOwner } from "./socket_table.ts";

export function addressInUse(spec: ListenSpec, cause?: unknown, flag = "--port"): HostError {
  const owners = spec.kind === "tcp" ? ownersOfPort(spec.port) : [];
  const owner = owners.find(({ command }) => parseHolder(command) !== undefined) ?? owners[0];
  const by = owner === undefined ? "another process" : `process ${owner.pid} (${brief(owner)})`;
  return new HostError(
    `Cannot listen on ${formatListenSpec(spec)}: ${by} listens there already. Stop it, or choose another ${flag}`,
    { cause },
  );
}

const SHOWN_CHARACTERS = 80;

/** Not the whole command line: arguments can contain secrets. */
function brief({ command }: SocketOwner): string {
  const holder = parseHolder(command);
  if (holder !== undefined) return `a dewy of ${holder.root || "another directory"}`;
  return command.slice(0, 2).join(" ").split("\n", 1).join("").slice(0, SHOWN_CHARACTERS);
}

export function bindError(spec: ListenSpec, cause: unknown, flag = "--port"): Error {
  const where = formatListenSpec(spec);
  const { code } = cause as NodeJS.ErrnoException;
  if (code === "EADDRINUSE") return addressInUse(spec, cause, flag);
  if (code === "EACCES" && spec.kind === "tcp") {
    return new HostError(
      `Cannot listen on ${where}: ports below 1024 need the capability CAP_NET_BIND_SERVICE (systemd: AmbientCapabilities=CAP_NET_BIND_SERVICE). Grant it, or choose a higher port for ${flag}`,
      { cause },
    );
  }
  if (code === "EADDRNOTAVAIL" || code === "ENOTFOUND" || code === "EAI_AGAIN") {
    return new ConfigError(
      `Cannot listen on ${where}: the host is not an address of this machine (${code}). Use one of its addresses, or the port alone`,
      { cause },
    );
  }
  return new HostError(`Cannot listen on ${where}: ${messageOf(cause)}`, { cause });
}
