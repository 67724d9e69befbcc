import { DewyError, type ErrorCode } from "../core/error.ts";

const BY_CODE: Readonly<Record<ErrorCode, number>> = {
  config: 1,
  locked: 1,
  credential: 2,
  "not-found": 2,
  conflict: 2,
  "rate-limited": 2,
  timeout: 2,
  remote: 2,
  integrity: 2,
  unverified: 2,
  archive: 3,
  host: 3,
  deploy: 4,
  aborted: 0,
};

/** The exit code for an error: 0 if the operator has stopped the work. A failed deploy counts as its cause. */
export function exitCodeOf(error: unknown): number {
  if (!(error instanceof DewyError)) return 4;
  if (error.code === "deploy" && error.cause instanceof DewyError) return exitCodeOf(error.cause);
  return BY_CODE[error.code];
}
