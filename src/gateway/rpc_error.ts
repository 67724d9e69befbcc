import { Code, ConnectError } from "@connectrpc/connect";
import { DewyError, type ErrorCode } from "../core/error.ts";

// https://grpc.io/docs/guides/status-codes/
const CODES: Readonly<Record<ErrorCode, Code>> = {
  config: Code.FailedPrecondition,
  locked: Code.FailedPrecondition,
  credential: Code.PermissionDenied,
  "not-found": Code.NotFound,
  conflict: Code.Aborted,
  "rate-limited": Code.Unavailable,
  timeout: Code.Unavailable,
  remote: Code.Unavailable,
  integrity: Code.DataLoss,
  archive: Code.Internal,
  host: Code.Unavailable,
  deploy: Code.Internal,
  aborted: Code.Canceled,
};

/**
 * Turns what a registry's logic threw into what its caller may know.
 *
 * @param error anything.
 * @returns the gRPC status: that of a `DewyError` with its message, or of a `ConnectError` as it is; "internal" without a
 * message of its own for all others.
 */
export function rpcError(error: unknown): ConnectError {
  if (error instanceof ConnectError) return error;
  if (error instanceof DewyError) return new ConnectError(error.message, CODES[error.code]);
  return new ConnectError("The registry failed; its log says why", Code.Internal);
}
