/**
 * Reduces a response to what the `fields` parameter names, as Google's servers do, so that a client
 * never sees a field that it did not request. `fields` is like `a,b(c,d)`; `null` keeps everything.
 * @see https://cloud.google.com/storage/docs/json_api#partial-response
 */
export function selectFields(answer: object, fields: string | null): object {
  if (fields === null) return answer;
  const wanted = parse(fields);
  return Object.fromEntries(
    Object.entries(answer).flatMap(([name, value]) => {
      const inner = wanted.get(name);
      if (inner === undefined) return [];
      if (inner === "") return [[name, value]];
      return [[name, (value as object[]).map((item) => selectFields(item, inner))]];
    }),
  );
}

function parse(fields: string): Map<string, string> {
  const found = fields.matchAll(/([A-Za-z0-9]+)(?:\(([^)]*)\))?/g);
  return new Map([...found].map(([, name = "", inner = ""]) => [name, inner]));
}
