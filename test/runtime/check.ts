/** Compares two values with the language only, so that it runs on every runtime. */
export function equal(actual: unknown, expected: unknown, what: string): void {
  const [left, right] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (left !== right) throw new Error(`${what}: expected ${right}, got ${left}`);
}

/** Expects a rejection with an error of this code. */
export async function rejects(
  promise: Promise<unknown>,
  code: string,
  what: string,
): Promise<void> {
  const outcome = await promise.then(
    () => "no error",
    (error: { code?: string }) => error.code,
  );
  equal(outcome, code, what);
}
