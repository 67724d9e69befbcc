import * as v from "valibot";

/** The signed list of all versions, as `dewy sign-index` writes it. */
export const INDEX_NAME = "dewy-index.json";

export const MAX_INDEX_BYTES: number = 2 ** 20;

const Time = v.pipe(
  v.string(),
  v.isoTimestamp(),
  v.check((text) => !Number.isNaN(Date.parse(text)), "no such time"),
);

const Index = v.object({
  format: v.literal(1),
  issued: Time,
  expires: Time,
  /** The SHA-256 of each file, by tag and file name. */
  versions: v.record(
    v.string(),
    v.record(v.string(), v.pipe(v.string(), v.regex(/^sha256:[0-9a-f]{64}$/))),
  ),
});

export type Index = v.InferOutput<typeof Index>;

/** Returns the reason if the text is not an index. */
export function parseIndex(text: string): Index | string {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return "it is not JSON";
  }
  const parsed = v.safeParse(Index, json);
  if (parsed.success) return parsed.output;
  const [issue] = parsed.issues;
  if (v.getDotPath(issue) === "format") return "it has a format that this dewy does not know";
  return `it is not an index: ${v.getDotPath(issue) ?? "the whole"}: ${issue.message}`;
}

export function formatIndex(index: Index): string {
  return `${JSON.stringify(index, undefined, 2)}\n`;
}

/** The digest of a file of a version. */
export function digestIn({ versions }: Index, tag: string, name: string): string | undefined {
  const files = Object.hasOwn(versions, tag) ? versions[tag] : undefined;
  return files !== undefined && Object.hasOwn(files, name) ? files[name] : undefined;
}
