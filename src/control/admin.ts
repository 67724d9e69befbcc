import * as v from "valibot";

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
  /** How often the engine has restarted it. */
  restarts: v.exactOptional(v.number()),
  /** Of a container that has exited. */
  exit_code: v.exactOptional(v.number()),
  oom_killed: v.exactOptional(v.boolean()),
});
export type AdminContainer = v.InferOutput<typeof AdminContainer>;

const PORTS = 10;

/** The ports to try: each dewy on a machine takes the first free one. */
export function adminPorts(first: number): readonly number[] {
  return Array.from({ length: PORTS }, (_, index) => first + index).filter((one) => one <= 65_535);
}
