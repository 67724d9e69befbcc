import { type DewyError, HostError, NotFoundError } from "../../core/error.ts";
import { systemCode, systemReason } from "./atomic_file.ts";

const MISSING: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file or directory",
  ENOTDIR: "it is not a directory",
};

/** Returns a NotFoundError for a path that does not exist, otherwise a HostError. */
export function fileError(action: string, path: string, cause: unknown): DewyError {
  const missing = MISSING[systemCode(cause) ?? ""];
  const ErrorClass = missing === undefined ? HostError : NotFoundError;
  const reason = missing ?? systemReason(cause);
  return new ErrorClass(`Cannot ${action} "${path}": ${reason}`, { cause });
}

export function hasCode(error: unknown, ...codes: readonly string[]): boolean {
  return codes.includes(systemCode(error) ?? "");
}
