import * as v from "valibot";

/**
 * Returns the value as the schema's type.
 *
 * @param fail makes the error from the problem, such as `assets[0].size should be number`.
 * @param whole names the value itself in the problem.
 */
export function parseSchema<S extends v.GenericSchema>(
  schema: S,
  value: unknown,
  fail: (problem: string) => Error,
  whole = "the response",
): v.InferOutput<S> {
  const result = v.safeParse(schema, value, { abortEarly: true });
  if (result.success) return result.output;
  const [issue] = result.issues;
  const problem =
    issue.received === "undefined" ? "is missing" : `should be ${issue.expected ?? issue.type}`;
  throw fail(`${v.getDotPath(issue) ?? whole} ${problem}`);
}
