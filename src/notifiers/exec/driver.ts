import { ConfigError } from "../../core/error.ts";
import type { SplitUrl } from "../../core/url.ts";
import type { Notifier, NotifierContext, NotifierDriver } from "../driver.ts";

export const exec: NotifierDriver = {
  scheme: "exec",
  name: "Command",
  syntax: "exec:<command>",
  example: "exec:/usr/local/bin/notify --channel deploys",
  isSecretUrl: true,
  isForPrograms: true,
  isOpaque: true,
  options: [],
  environment: [],
  open: openExec,
};

function openExec({ path, host }: SplitUrl, context: NotifierContext): Notifier {
  const command = path.trim();
  if (command === "" || host !== "") {
    throw new ConfigError(`Invalid value for --notifier "exec:…": expected ${exec.syntax}`);
  }
  let running = Promise.resolve();
  return {
    send: async (notification, signal) => {
      const { runCommand } = await import("./command.ts");
      // One that does not end on SIGTERM runs for a while after its timeout.
      await running;
      const own = runCommand(command, notification, context, signal);
      running = own.catch(() => {});
      await own;
    },
  };
}
