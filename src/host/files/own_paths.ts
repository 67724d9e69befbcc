import { join } from "node:path";

/** The lock of a working directory. */
export function lockPath(root: string): string {
  return join(root, ".dewy", "lock");
}

/** The state of a working directory. */
export function statePath(root: string): string {
  return join(root, ".dewy", "state.json");
}
