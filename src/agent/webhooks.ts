import type { DeployConfig } from "../cli/flags/deploy.ts";
import type { Context } from "../core/context.ts";
import type { WakeListener } from "../deploy/loop.ts";
import { openWebhooks } from "../webhook/open.ts";

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
