import type { DeployConfig } from "../cli/flags/deploy.ts";
import { Mode } from "../control/protocol.ts";
import type { Context } from "../core/context.ts";
import type { WakeListener } from "../deploy/loop.ts";
import { openWebhooks } from "../webhook/open.ts";
import type { CommandContext } from "./context.ts";
import type { EventHub, OpenInstance } from "./instance.ts";
import type { Agent } from "./types.ts";

interface AdminParts {
  instance: Pick<OpenInstance, "status" | "showAdmin">;
  hub: EventHub;
  /** The text of `/metrics`; absent without `--telemetry`. */
  metrics: (() => Promise<string>) | undefined;
}

/** Opens the admin server of an agent, if the flags ask for it; otherwise its code is not even loaded. */
export async function openAgentAdmin(
  { config, root, supervision }: Agent,
  { instance, hub, metrics }: AdminParts,
  { clock, env, ownLines, redactor }: CommandContext,
): Promise<{ close(): Promise<void> } | undefined> {
  const mode = Mode.options.find((one) => one === config.command);
  if (config.admin === undefined || mode === undefined) return undefined;
  const { openAdmin } = await import("../admin/open.ts");
  const admin = await openAdmin({
    config: config.admin,
    mode,
    root,
    status: instance.status,
    backends: () => {
      const { proxies = [] } = supervision?.measure?.() ?? {};
      return proxies.flatMap(({ backends }) => backends).filter(({ inRotation }) => inRotation)
        .length;
    },
    containers: supervision?.containers?.bind(supervision),
    appLines: supervision?.lastLines?.bind(supervision),
    ownLines: ownLines ?? (() => []),
    metrics,
    subscribe: hub.subscribe,
    redact: redactor(env),
    emit: hub.emit,
    clock,
  });
  instance.showAdmin(admin.url);
  return admin;
}

export interface AgentWebhooks {
  /** Registers a listener for the poll loop, and returns the function that unsubscribes it. */
  onWake(listener: WakeListener): () => void;
  close(): Promise<void>;
}

/**
 * Opens the listener of `--webhook-listen`, if it is set. A webhook before the poll loop listens is not lost: the loop
 * begins with a poll.
 */
export async function openAgentWebhooks(
  { webhooks: config }: Pick<DeployConfig, "webhooks">,
  { emit, clock }: Pick<Context, "emit" | "clock">,
): Promise<AgentWebhooks> {
  if (config === undefined) return { onWake: () => () => {}, close: async () => {} };
  const listeners = new Set<WakeListener>();
  const { close } = await openWebhooks({
    ...config,
    onWake: () => {
      for (const listener of listeners) listener({ isPatient: true });
    },
    emit,
    clock,
  });
  return {
    onWake(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    close,
  };
}
