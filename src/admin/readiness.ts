import type { InstanceStatus } from "../control/protocol.ts";

/** Whether the app serves; without an app, whether a version is live. */
export function isServing({ app, live }: InstanceStatus): boolean {
  if (app === undefined) return live !== undefined;
  return app.health === "serving" || app.health === "degraded";
}

/** Why the live version does not serve, or `undefined` if it does. */
export function notReady(status: InstanceStatus): string | undefined {
  if (status.phase.name === "stopping") return "dewy is stopping";
  if (status.live === undefined) return "no version is live";
  return isServing(status) ? undefined : `the app is ${status.app?.health}`;
}
