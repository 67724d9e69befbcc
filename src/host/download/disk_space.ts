import { statfs } from "node:fs/promises";
import { formatBytes } from "../../core/bytes.ts";
import { HostError } from "../../core/error.ts";
import { messageOf } from "../../core/message_of.ts";
import { hasCode } from "../files/file_error.ts";

/** For an unprivileged user; `undefined` where the system does not say. */
async function freeBytes(directory: string): Promise<number | undefined> {
  try {
    const { bavail, bsize } = await statfs(directory);
    return bavail * bsize;
  } catch {
    return undefined;
  }
}

/** `action` is such as `download "app.tar.gz"`. */
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
    `Cannot ${action}: the file system of ${directory} is full${room}${want}; free some space there`,
    { cause },
  );
}

export function isDiskFull(error: unknown): boolean {
  return hasCode(error, "ENOSPC", "EDQUOT");
}

/** `needed`: the bytes that were still to be written, if known. */
export async function diskError(
  error: unknown,
  action: string,
  directory: string,
  needed?: number,
): Promise<HostError> {
  if (isDiskFull(error)) {
    return noSpace(action, directory, await freeBytes(directory), needed, error);
  }
  return new HostError(`Cannot ${action}: ${messageOf(error)}`, { cause: error });
}
