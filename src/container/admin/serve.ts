import type { CommandContext } from "../../agent/context.ts";
import { messageOf } from "../../core/message_of.ts";
import type { ContainerConfig } from "../config.ts";
import type { ContainerEngine } from "../engine/engine.ts";
import { managedLabels } from "../options/names.ts";
import type { ContainerStatus } from "../supervision.ts";
import { adminApi } from "./api.ts";
import { adminContainer } from "./container.ts";
import { adminPorts, serveAdmin } from "./server.ts";

/** What the admin API of `dewy container` tells of. */
export interface ContainerAdminParts {
  config: Pick<ContainerConfig, "app" | "adminPort" | "mappings">;
  engine: ContainerEngine;
  /** What runs now. */
  status(): ContainerStatus;
}

/**
 * Opens the admin API. Containers are worth more than what tells of them: where it cannot be opened, a warning is all.
 *
 * @param parts what it tells of.
 * @param world the world.
 * @returns the function that closes it.
 */
export async function openContainerAdmin(
  { config, engine, status }: ContainerAdminParts,
  { emit }: CommandContext,
): Promise<() => Promise<void>> {
  const { app, adminPort, mappings } = config;
  const handler = adminApi({
    containers: async (signal) => {
      const found = await engine.list(managedLabels(app), signal);
      const { stateOf } = status();
      return found.map((container) =>
        adminContainer(container, mappings[0]?.containerPort, stateOf(container.id)),
      );
    },
    status: () => {
      const { tag: currentVersion = "", backends, isRunning } = status();
      return { command: "container", name: app, currentVersion, backends, isRunning };
    },
  });
  try {
    const server = await serveAdmin(handler, adminPort);
    emit({ type: "listening", url: server.url, protocols: "admin API" });
    return () => server.close();
  } catch (error) {
    const reason = messageOf(error);
    const ports = adminPorts(adminPort);
    const fields = { ports: `${ports[0]}-${ports.at(-1)}`, reason };
    emit({ type: "warning", message: "No admin API", fields });
    return async () => {};
  }
}
