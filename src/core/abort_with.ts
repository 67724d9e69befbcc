/**
 * Aborts a controller with a longer-lived signal; returns a function that detaches them. Node keeps a reference at the
 * source of every `AbortSignal.any`, so a loop would leak.
 */
export function abortWith(controller: AbortController, signal: AbortSignal): () => void {
  const abort = (): void => controller.abort(signal.reason);
  if (signal.aborted) abort();
  signal.addEventListener("abort", abort, { once: true });
  return () => signal.removeEventListener("abort", abort);
}
