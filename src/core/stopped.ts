import { AbortedError, type DewyError, RemoteError } from "./error.ts";

/**
 * The error for work that the caller's `AbortSignal` cancelled. `AbortSignal.timeout` gives a {@link RemoteError} of code
 * `timeout`, any other signal an {@link AbortedError}.
 *
 * @see https://dom.spec.whatwg.org/#dom-abortsignal-timeout
 */
export function stoppedError(action: string, reason: unknown): DewyError {
  return isTimeout(reason)
    ? new RemoteError(`Cannot finish ${action}: the caller's timeout expired`, {
        code: "timeout",
        cause: reason,
      })
    : new AbortedError(`Stopped during ${action}`, { cause: reason });
}

function isTimeout(reason: unknown): boolean {
  return reason instanceof Error && reason.name === "TimeoutError";
}
