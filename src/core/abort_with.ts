/**
 * Aborts a controller as soon as a signal is aborted. For signals that outlive the work: what `AbortSignal.any` derives
 * stays referenced by its sources on Node, a little for every poll.
 *
 * @param controller what is aborted, for the signal's reason.
 * @param signal what it follows.
 * @returns a function that lets go of the signal.
 */
export function abortWith(controller: AbortController, signal: AbortSignal): () => void {
  const abort = (): void => controller.abort(signal.reason);
  if (signal.aborted) abort();
  signal.addEventListener("abort", abort, { once: true });
  return () => signal.removeEventListener("abort", abort);
}
