/**
 * Says what was thrown.
 *
 * @param error anything.
 * @returns its message.
 */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
