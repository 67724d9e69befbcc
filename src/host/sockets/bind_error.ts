import { ConfigError, HostError } from "../../core/error.ts";
import { messageOf } from "../../core/message_of.ts";
import { HOLDER_ROOT, isHolder } from "./holder_command.ts";
import { formatListenSpec, type ListenSpec } from "./listen_spec.ts";
import { ownersOfPort, type SocketOwner } from "./socket_table.ts";

/** A port or path that somebody else listens on. */
export class AddressInUseError extends HostError {
  /** Who has it, as far as this user may know. */
  readonly owners: readonly SocketOwner[];

  /**
   * Makes the error.
   *
   * @param spec what was to be opened.
   * @param owners who has it.
   * @param cause the system's error.
   */
  constructor(spec: ListenSpec, owners: readonly SocketOwner[], cause?: unknown) {
    const owner = owners.find(isHolder) ?? owners[0];
    const by = owner === undefined ? "another process" : `process ${owner.pid} (${brief(owner)})`;
    super(
      `Cannot listen on ${formatListenSpec(spec)}: ${by} listens there already. Stop it, or choose another --port`,
      { cause },
    );
    this.owners = owners;
  }
}

const SHOWN_CHARACTERS = 80;

/** Arguments can hold secrets: the program's name and what it runs are enough to know it by. */
function brief({ command }: Pick<SocketOwner, "command">): string {
  if (isHolder({ command })) return `a dewy of ${command[HOLDER_ROOT] ?? "another directory"}`;
  return command.slice(0, 2).join(" ").split("\n", 1).join("").slice(0, SHOWN_CHARACTERS);
}

/**
 * Says why a socket could not be opened.
 *
 * @param spec where it was to listen.
 * @param cause what the runtime threw.
 * @returns the error to throw.
 */
export function bindError(spec: ListenSpec, cause: unknown): Error {
  const where = formatListenSpec(spec);
  const code = codeOf(cause);
  if (code === "EADDRINUSE") {
    return new AddressInUseError(spec, spec.kind === "tcp" ? ownersOfPort(spec.port) : [], cause);
  }
  if (code === "EACCES" && spec.kind === "tcp") {
    return new HostError(
      `Cannot listen on ${where}: ports below 1024 need the capability CAP_NET_BIND_SERVICE (systemd: AmbientCapabilities=CAP_NET_BIND_SERVICE). Grant it, or choose a higher --port`,
      { cause },
    );
  }
  if (code === "EADDRNOTAVAIL" || code === "ENOTFOUND" || code === "EAI_AGAIN") {
    return new ConfigError(
      `Cannot listen on ${where}: the host is no address of this machine (${code}). Use one of its own, or the port alone`,
      { cause },
    );
  }
  const reason = messageOf(cause);
  return new HostError(`Cannot listen on ${where}: ${reason}`, { cause });
}

function codeOf(cause: unknown): string | undefined {
  const known = typeof cause === "object" && cause !== null && "code" in cause;
  return known && typeof cause.code === "string" ? cause.code : undefined;
}
