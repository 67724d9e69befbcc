import type { AdminContainer } from "../../control/admin.ts";
import type { EngineContainer } from "../engine/engine.ts";

/** Go's zero time, which the engine prints for a missing time. */
const NEVER = "0001-01-01T00:00:00Z";

/** @param port The container port whose address is shown. Defaults to the lowest. */
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
    state,
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
