import type { DewyEvent, HookResult } from "../core/event.ts";
import type { Notification } from "./driver.ts";

const SIGNAL_NAMES: Readonly<Record<string, string>> = {
  SIGINT: "interrupt",
  SIGTERM: "terminated",
  SIGQUIT: "quit",
};

/**
 * Says what people are told of an event.
 *
 * @param event the event.
 * @param quiet whether only successes, errors and failed hooks are told. `assets` tells the success itself
 * only then: otherwise the download has announced it.
 * @returns the notification; `undefined` for events that only the log hears of.
 */
export function notificationOf(event: DewyEvent, quiet: boolean): Notification | undefined {
  switch (event.type) {
    case "started":
      return message(`Automatic shipping started by *Dewy* (v${event.version}: ${event.command})`);
    case "stopping":
      return message(`Stop receiving by \`${SIGNAL_NAMES[event.signal] ?? event.signal}\` signal`);
    case "downloaded":
      return message(`Downloaded artifact for \`${event.tag}\``);
    case "hook":
      return hookNotification(event.result);
    case "deployed":
      return quiet ? { kind: "success", text: `Deployed \`${event.tag}\`` } : undefined;
    case "rolled-back":
      return { kind: "error", text: rollbackText(event.tag, event.to, event.reason) };
    case "failed":
      return {
        kind: "error",
        text: `Error occurred (count: ${event.count}): ${event.error.message}`,
      };
    default:
      return undefined;
  }
}

function message(text: string): Notification {
  return { kind: "message", text };
}

function rollbackText(tag: string, to: string | undefined, reason: string): string {
  const where =
    to === undefined ? `Took \`${tag}\` back` : `Rolled back from \`${tag}\` to \`${to}\``;
  return `${where}: ${reason}`;
}

/** The title of a hook's result: `Before Deploy Hook`. */
export function hookTitle(result: HookResult): string {
  return result.when === "before" ? "Before Deploy Hook" : "After Deploy Hook";
}

function hookNotification(result: HookResult): Notification {
  const passed = result.exitCode === 0;
  const end = result.timedOut ? "timed out" : `exit: ${result.exitCode ?? "signal"}`;
  return {
    kind: passed ? "hook-passed" : "hook-failed",
    text: `${passed ? "✓" : "✗"} ${hookTitle(result)}: ${result.command} (${end})`,
    hook: result,
  };
}
