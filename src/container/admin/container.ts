import * as v from "valibot";
import type { EngineContainer } from "../engine/engine.ts";

const text = v.nullish(v.string(), "");

/** A container in the response of the admin API. The times are in RFC 3339. */
export const AdminContainer = v.object({
  id: text,
  name: v.string(),
  /** The image's name in the command that started the container. */
  image: text,
  /** The engine's: `created`, `running`, `exited`, … */
  status: text,
  /** `starting`, `serving`, `unhealthy`, `draining` or `stopping`, if a dewy manages it. */
  state: v.exactOptional(v.string()),
  /** The address on this machine, such as `127.0.0.1:32768`; empty if no port is published. */
  ip_port: text,
  started_at: text,
  deployed_at: text,
  labels: v.nullish(v.record(v.string(), v.string()), {}),
});
export type AdminContainer = v.InferOutput<typeof AdminContainer>;

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
