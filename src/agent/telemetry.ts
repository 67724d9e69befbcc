import { basename } from "node:path";
import { Mode } from "../control/protocol.ts";
import type { DewyEvent } from "../core/event.ts";
import { isDisabled } from "../telemetry/environment.ts";
import type { Telemetry } from "../telemetry/open.ts";
import type { CommandContext } from "./context.ts";
import type { EventHub, OpenInstance } from "./instance.ts";
import type { Agent } from "./types.ts";

const CLOSE_MS = 5_000;

export interface AgentTelemetry extends Pick<Telemetry, "prometheus"> {
  /** Returns the outcome of a deploy with the id of its trace. */
  traced(event: DewyEvent): DewyEvent;
  close(): Promise<void>;
}

/** Measures an agent with `--telemetry`; otherwise its code is not even loaded. */
export async function openAgentTelemetry(
  { config, root, supervision, name = basename(root) }: Agent,
  { status }: Pick<OpenInstance, "status">,
  hub: EventHub,
  { env, clock, version, redactor }: CommandContext,
): Promise<AgentTelemetry | undefined> {
  const mode = Mode.options.find((one) => one === config.command);
  if (config.telemetry === undefined || mode === undefined || isDisabled(env)) return undefined;
  const { openTelemetry } = await import("../telemetry/open.ts");
  const telemetry = await openTelemetry({
    config: config.telemetry,
    caFile: config.caFile,
    env,
    instance: { name, mode, version, hasFleet: config.fleet !== undefined },
    status,
    measure: supervision?.measure?.bind(supervision),
    observeProxy: supervision?.observeProxy?.bind(supervision),
    containers: supervision?.containers?.bind(supervision),
    emit: hub.emit,
    clock,
    redact: redactor(env),
  });
  const unsubscribe = hub.subscribe(telemetry.sink);
  return {
    prometheus: () => telemetry.prometheus(),
    traced: (event) => {
      const hasTrace =
        event.type === "deployed" || event.type === "rolled-back" || event.type === "failed";
      if (!hasTrace || event.tag === undefined) return event;
      return { ...event, traceId: telemetry.traceIdOf(event.tag) };
    },
    async close() {
      unsubscribe();
      await telemetry.close(CLOSE_MS);
    },
  };
}
