import type { SteerCommand } from "../control/protocol.ts";

/** `pin v1.2.0` */
export function commandText(command: SteerCommand): string {
  const tag = "tag" in command ? command.tag : undefined;
  return tag === undefined ? command.command : `${command.command} ${tag}`;
}
