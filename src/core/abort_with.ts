/**
 * Aborts a controller with a signal that outlives the work; returns a function that detaches them. Node keeps a reference
 * at the source for every `AbortSignal.any`, so that a loop would leak.
 */
export function abortWith(controller: AbortController, signal: AbortSignal): () => void {
  const abort = (): void => controller.abort(signal.reason);
  if (signal.aborted) abort();
  signal.addEventListener("abort", abort, { once: true });
  return () => signal.removeEventListener("abort", abort);
}
