import { type DewyError, HostError, NotFoundError } from "../../core/error.ts";
import { systemReason } from "./atomic_file.ts";

/** Converts an error of the file system into a NotFoundError for a path that does not exist, else into a HostError. */
export function fileError(action: string, path: string, cause: unknown): DewyError {
  if (hasCode(cause, "ENOENT")) {
    return new NotFoundError(`Cannot ${action} "${path}": there is no such file or directory`, {
      cause,
    });
  }
  if (hasCode(cause, "ENOTDIR")) {
    return new NotFoundError(`Cannot ${action} "${path}": it is not a directory`, { cause });
  }
  return new HostError(`Cannot ${action} "${path}": ${systemReason(cause)}`, { cause });
}

export function hasCode(error: unknown, ...codes: readonly string[]): boolean {
  if (typeof error !== "object" || error === null || !("code" in error)) return false;
  return typeof error.code === "string" && codes.includes(error.code);
}
