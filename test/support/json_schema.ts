/** The part of JSON Schema that the schemas of docs/reference/ use. https://json-schema.org/draft/2020-12 */
export interface JsonSchema {
  type?: "string" | "number" | "boolean" | "array" | "object";
  const?: unknown;
  enum?: readonly unknown[];
  format?: "date-time";
  required?: readonly string[];
  properties?: Readonly<Record<string, JsonSchema>>;
  additionalProperties?: JsonSchema;
  items?: JsonSchema;
  /** Annotations. */
  title?: string;
  description?: string;
  $schema?: string;
}

const KEYWORDS = new Set<string>([
  ...["type", "const", "enum", "format", "required", "properties", "additionalProperties"],
  ...["items", "title", "description", "$schema"],
]);

/** Returns what is wrong with a value, each with its path. */
export function schemaProblems(schema: JsonSchema, value: unknown, path = "$"): string[] {
  const unknown = Object.keys(schema).filter((keyword) => !KEYWORDS.has(keyword));
  if (unknown.length > 0) throw new Error(`this validator does not know ${unknown.join(", ")}`);
  const { type, required = [], properties = {}, additionalProperties, items } = schema;
  const problems = [
    ...(type !== undefined && type !== typeOf(value) ? [`${path} is not of type ${type}`] : []),
    ...("const" in schema && schema.const !== value ? [`${path} is not ${schema.const}`] : []),
    ...(schema.enum?.includes(value) === false ? [`${path} is not in the enum`] : []),
    ...(schema.format !== undefined && !isDateTime(value) ? [`${path} is not a date-time`] : []),
  ];
  if (Array.isArray(value)) {
    const ofItems = value.flatMap((item, index) =>
      items === undefined ? [] : schemaProblems(items, item, `${path}[${index}]`),
    );
    return [...problems, ...ofItems];
  }
  if (typeof value !== "object" || value === null) return problems;
  const missing = required.filter((name) => !Object.hasOwn(value, name));
  const ofProperties = Object.entries(value).flatMap(([name, one]) => {
    const own = Object.hasOwn(properties, name) ? properties[name] : additionalProperties;
    return own === undefined ? [] : schemaProblems(own, one, `${path}.${name}`);
  });
  return [...problems, ...missing.map((name) => `${path}.${name} is missing`), ...ofProperties];
}

function typeOf(value: unknown): string {
  if (value === null) return "null";
  return Array.isArray(value) ? "array" : typeof value;
}

function isDateTime(value: unknown): boolean {
  return typeof value === "string" && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/.test(value);
}
