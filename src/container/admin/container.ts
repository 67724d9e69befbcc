import type { EngineContainer } from "../engine/engine.ts";

/** A container, as the admin API tells it. */
export interface AdminContainer {
  /** The engine's identifier. */
  id: string;
  name: string;
  /** The image as it was named at its start. */
  image: string;
  /** `created`, `running`, `paused`, `restarting`, `removing`, `exited` or `dead`. */
  status: string;
  /** `starting`, `serving`, `unhealthy`, `draining` or `stopping`; absent when no running dewy looks after it. */
  state?: string;
  /** Where it is reached from this machine, such as `127.0.0.1:32768`; empty: nowhere. */
  ip_port: string;
  /** When it was started, as RFC 3339. */
  started_at: string;
  /** When dewy deployed it, as RFC 3339. */
  deployed_at: string;
  labels: Readonly<Record<string, string>>;
}

/** What the engine has in place of a time that was never: Go's zero. */
const NEVER = "0001-01-01T00:00:00Z";

/**
 * Writes a container as the admin API tells it.
 *
 * @param container what the engine knows.
 * @param port the port inside the container whose address is shown. Defaults to its lowest.
 * @param state what dewy is doing with it.
 * @returns plain data.
 */
export function adminContainer(
  container: EngineContainer,
  port?: number,
  state?: string,
): AdminContainer {
  const { id, name, image, status, startedAt, labels } = container;
  const started = timeOf(startedAt) ?? NEVER;
  return {
    id,
    name,
    image,
    status,
    ...(state === undefined ? {} : { state }),
    ip_port: addressOf(container, port),
    started_at: started,
    deployed_at: timeOf(labels["dewy.deployed_at"]) ?? started,
    labels,
  };
}

function addressOf({ ports }: EngineContainer, port: number | undefined): string {
  const lowest = Math.min(...ports.map((one) => one.container));
  const shown = ports.find((one) => one.container === (port ?? lowest));
  if (shown === undefined) return "";
  return `${shown.host.includes(":") ? `[${shown.host}]` : shown.host}:${shown.port}`;
}

function timeOf(text: string | undefined): string | undefined {
  return text === undefined || Number.isNaN(Date.parse(text)) ? undefined : text;
}
