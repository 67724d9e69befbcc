import { type DewyError, HostError, NotFoundError } from "../../core/error.ts";
import { systemReason } from "./atomic_file.ts";

/**
 * Translates an error of the file system.
 *
 * @param action what was tried: `read`, `write`, `list`.
 * @param path where.
 * @param cause what was thrown.
 * @returns a NotFoundError when there is nothing at the path, else a HostError with the system's reason.
 */
export function fileError(action: string, path: string, cause: unknown): DewyError {
  if (hasCode(cause, "ENOENT")) {
    return new NotFoundError(`Cannot ${action} "${path}": there is no such file or directory`, {
      cause,
    });
  }
  if (hasCode(cause, "ENOTDIR")) {
    return new NotFoundError(`Cannot ${action} "${path}": it is no directory`, { cause });
  }
  return new HostError(`Cannot ${action} "${path}": ${systemReason(cause)}`, { cause });
}

/** @returns whether an error of the system has one of these codes. */
export function hasCode(error: unknown, ...codes: readonly string[]): boolean {
  if (typeof error !== "object" || error === null || !("code" in error)) return false;
  return typeof error.code === "string" && codes.includes(error.code);
}
