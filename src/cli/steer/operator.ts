import { userInfo } from "node:os";
import type { CommandContext } from "../../agent/context.ts";
import type { Operator } from "../../core/operator.ts";
import { printable, shorten } from "../../core/text.ts";

const MAX_NAME = 64;

/** The user at the keyboard: behind sudo, the one who called it. */
export function operatorOf(env: CommandContext["env"], message: string | undefined): Operator {
  const user = shorten(printable(env.SUDO_USER || ownName()), MAX_NAME);
  return message === undefined ? { user } : { user, message };
}

/** In a container, the user may have a number and no name. */
function ownName(): string {
  try {
    return userInfo().username;
  } catch {
    return `uid ${process.getuid?.() ?? "unknown"}`;
  }
}
