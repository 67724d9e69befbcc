import { mkdir } from "node:fs/promises";
import { homedir } from "node:os";
import { isAbsolute, join, resolve } from "node:path";
import type { Context } from "../core/context.ts";
import { HostError } from "../core/error.ts";
import { hostError } from "../host/files/atomic_file.ts";
import type { ContainerConfig } from "./config.ts";

/**
 * Returns the absolute path of the working directory: `--directory`, or else the service's state
 * directory from systemd, or else a default for this app.
 *
 * @see https://www.freedesktop.org/software/systemd/man/latest/systemd.exec.html#RuntimeDirectory=
 */
export function containerDirectory(
  { directory, app }: Pick<ContainerConfig, "directory" | "app">,
  { env, isRoot }: Pick<Context, "env"> & { isRoot: boolean },
): string {
  if (directory !== undefined) return resolve(directory);
  const [ofService = ""] = (env.STATE_DIRECTORY ?? "").split(":");
  if (ofService !== "") return resolve(ofService);
  if (isRoot) return join("/var/lib/dewy", app);
  const state = env.XDG_STATE_HOME ?? "";
  return join(isAbsolute(state) ? state : join(env.HOME || homedir(), ".local/state"), "dewy", app);
}

export async function makeContainerDirectory(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true });
  } catch (cause) {
    const { message } = hostError(`make the directory ${path}`, cause);
    throw new HostError(`${message}; choose another one with --directory`, { cause });
  }
}
