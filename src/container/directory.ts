import { mkdir } from "node:fs/promises";
import { homedir } from "node:os";
import { isAbsolute, join, resolve } from "node:path";
import { HostError } from "../core/error.ts";
import { hostError } from "../host/files/atomic_file.ts";
import type { ContainerConfig } from "./config.ts";

/** Who asks for a directory, as far as it matters for where it is. */
export interface DirectoryIo {
  env: Readonly<Record<string, string | undefined>>;
  /** Whether dewy runs as root. */
  isRoot: boolean;
}

/**
 * Says where dewy remembers what runs: `--directory`, else what systemd made for the service, else a place of its own
 * for this app.
 *
 * @param config what the command is told.
 * @param io the environment.
 * @returns the absolute path.
 * @see https://www.freedesktop.org/software/systemd/man/latest/systemd.exec.html#RuntimeDirectory=
 */
export function containerDirectory(
  { directory, app }: Pick<ContainerConfig, "directory" | "app">,
  { env, isRoot }: DirectoryIo,
): string {
  if (directory !== undefined) return resolve(directory);
  const [ofService = ""] = (env.STATE_DIRECTORY ?? "").split(":");
  if (ofService !== "") return resolve(ofService);
  if (isRoot) return join("/var/lib/dewy", app);
  const state = env.XDG_STATE_HOME ?? "";
  return join(isAbsolute(state) ? state : join(env.HOME || homedir(), ".local/state"), "dewy", app);
}

/**
 * Makes the directory and what is above it, unless it is there.
 *
 * @param path the absolute path.
 * @throws HostError that says how to choose another one.
 */
export async function makeContainerDirectory(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true });
  } catch (cause) {
    const { message } = hostError(`make the directory ${path}`, cause);
    throw new HostError(`${message}; choose another one with --directory`, { cause });
  }
}
