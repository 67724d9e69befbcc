import type { HeldSocket } from "../../host/sockets/hold_sockets.ts";
import { FIRST_DESCRIPTOR, SOCKET_VARIABLES } from "../../host/sockets/inherited.ts";

/** Variables of dewy's own service manager and supervisor, which would mislead the app. */
const OWN_VARIABLES = [
  ...SOCKET_VARIABLES,
  "NOTIFY_SOCKET",
  "WATCHDOG_USEC",
  "WATCHDOG_PID",
  "DEWY_READY_FD",
];

/** What decides about a generation's environment. */
export interface GenerationEnvironment {
  env: Readonly<Record<string, string | undefined>>;
  sockets: readonly HeldSocket[];
  generation: number;
  readyDescriptor: boolean;
  /** The path of its own notification socket. */
  notifySocket: string | undefined;
}

/**
 * The environment of a generation. `LISTEN_PID` is missing here: only the process itself knows its pid.
 *
 * @param options the caller's variables, and what is handed over.
 * @returns the variables, without those that are not defined.
 */
export function generationEnvironment(options: GenerationEnvironment): Record<string, string> {
  const { sockets } = options;
  const env: Record<string, string> = {};
  for (const [name, value] of Object.entries(options.env)) {
    if (value !== undefined && !OWN_VARIABLES.includes(name)) env[name] = value;
  }
  if (options.readyDescriptor) env.DEWY_READY_FD = String(FIRST_DESCRIPTOR + sockets.length);
  if (options.notifySocket !== undefined) env.NOTIFY_SOCKET = options.notifySocket;
  if (sockets.length === 0) return env;
  const ports = sockets.map(({ name }, index) => `${name}=${FIRST_DESCRIPTOR + index}`);
  return {
    ...env,
    SERVER_STARTER_PORT: ports.join(";"),
    SERVER_STARTER_GENERATION: String(options.generation),
    LISTEN_FDS: String(sockets.length),
    LISTEN_FDNAMES: sockets.map(({ name }) => descriptorName(name)).join(":"),
  };
}

/** The names are joined by colons, so that they can have none themselves. */
function descriptorName(name: string): string {
  return name.replaceAll(":", "_").slice(0, 255);
}
