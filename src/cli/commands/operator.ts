import { userInfo } from "node:os";
import type { Environment } from "../../core/environment.ts";
import type { Operator } from "../../core/operator.ts";
import { printable, shorten } from "../../core/text.ts";

const MAX_NAME = 64;

/** The user at the keyboard: behind sudo, the one who called it. */
export function operatorOf(env: Environment, message: string | undefined): Operator {
  const user = shorten(printable(env.SUDO_USER || ownName()), MAX_NAME);
  return { user, message };
}

/** In a container, the user may have a number and no name; without `USER`, Bun knows no name. */
function ownName(): string {
  const uid = process.getuid?.();
  try {
    const { username } = userInfo();
    if (username !== "" && username !== "unknown") return username;
  } catch {
    // The number has to do.
  }
  return uid === 0 ? "root" : `uid ${uid ?? "unknown"}`;
}
