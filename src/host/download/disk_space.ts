import { statfs } from "node:fs/promises";
import { formatBytes } from "../../core/bytes.ts";
import { HostError } from "../../core/error.ts";
import { systemCode } from "../files/atomic_file.ts";

/**
 * How much a file system can still take.
 *
 * @param directory a directory on it.
 * @returns bytes that an unprivileged user can write; `undefined` where the system does not say.
 */
export async function freeBytes(directory: string): Promise<number | undefined> {
  try {
    const { bavail, bsize } = await statfs(directory);
    return bavail * bsize;
  } catch {
    return undefined;
  }
}

/**
 * Makes sure that something fits before it is written.
 *
 * @param action what is to be done: `download "app.tar.gz"`.
 * @param directory where it goes.
 * @param needed bytes.
 * @throws HostError that names the file system, what is free and what is needed.
 */
export async function requireSpace(
  action: string,
  directory: string,
  needed: number,
): Promise<void> {
  const free = await freeBytes(directory);
  if (free !== undefined && free < needed) throw noSpace(action, directory, free, needed);
}

function noSpace(
  action: string,
  directory: string,
  free: number | undefined,
  needed: number | undefined,
  cause?: unknown,
): HostError {
  const room = free === undefined ? "" : `: ${formatBytes(free)} free`;
  const want =
    needed === undefined ? "" : `${room === "" ? ": " : ", "}${formatBytes(needed)} needed`;
  return new HostError(
    `Cannot ${action}: the file system of ${directory} is full${room}${want}; make room there`,
    { cause },
  );
}

/**
 * Whether an error says that a disk or a quota is full.
 *
 * @param error anything that was thrown.
 * @returns `false` for every other error.
 */
export function isDiskFull(error: unknown): boolean {
  return ["ENOSPC", "EDQUOT"].includes(systemCode(error) ?? "");
}

/**
 * Translates an error of the file system.
 *
 * @param error what was thrown.
 * @param action what was being done: `extract "app.tar.gz"`.
 * @param directory where.
 * @param needed bytes that were still to be written, where that is known.
 * @returns a HostError; one about room when the disk or a quota is full.
 */
export async function diskError(
  error: unknown,
  action: string,
  directory: string,
  needed?: number,
): Promise<HostError> {
  const { message } = error as Error;
  if (isDiskFull(error)) {
    return noSpace(action, directory, await freeBytes(directory), needed, error);
  }
  return new HostError(`Cannot ${action}: ${message ?? String(error)}`, { cause: error });
}
