import { basename } from "node:path";
import { Mode } from "../control/protocol.ts";
import type { Telemetry } from "../telemetry/open.ts";
import type { CommandContext } from "./context.ts";
import type { EventHub, OpenInstance } from "./instance.ts";
import type { Agent } from "./types.ts";

const CLOSE_MS = 5_000;

/** Measures an agent with `--telemetry`; otherwise its code is not even loaded. */
export async function openAgentTelemetry(
  { config, root, supervision, name = basename(root) }: Agent,
  { status }: Pick<OpenInstance, "status">,
  hub: EventHub,
  { env, clock, version }: CommandContext,
): Promise<(Pick<Telemetry, "prometheus"> & { close(): Promise<void> }) | undefined> {
  const mode = Mode.options.find((one) => one === config.command);
  if (config.telemetry === undefined || mode === undefined) return undefined;
  const { openTelemetry } = await import("../telemetry/open.ts");
  const telemetry = await openTelemetry({
    config: config.telemetry,
    env,
    instance: { name, mode, version },
    status,
    measure: supervision?.measure?.bind(supervision),
    containers: supervision?.containers?.bind(supervision),
    emit: hub.emit,
    clock,
  });
  const unsubscribe = hub.subscribe(telemetry.sink);
  return {
    prometheus: () => telemetry.prometheus(),
    async close() {
      unsubscribe();
      await telemetry.close(CLOSE_MS);
    },
  };
}
