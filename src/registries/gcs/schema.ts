import * as v from "valibot";
import { base64ToBytes, bytesToHex } from "../../core/encoding.ts";
import { RemoteError } from "../../core/error.ts";
import { redactUrl } from "../../core/url.ts";

/** An object of a listing. */
export interface GcsObject {
  /** Its name. */
  name: string;
  /** Bytes. */
  size: number;
  /** Differs whenever the object is stored anew. */
  generation: string;
  /** When its bytes were stored. */
  createdAt: Date;
  /** `md5:<hex>`, else `crc32c:<hex>`; `undefined` when the server states none. */
  digest: string | undefined;
}

/** A page of a listing. */
export interface GcsPage {
  /** Names up to the next `/` after the prefix: the "directories". They end in `/`. */
  prefixes: readonly string[];
  /** Objects; directly below the prefix only, unless all were asked for. */
  objects: readonly GcsObject[];
  /** Where the next page begins; `undefined` on the last one. */
  next: string | undefined;
}

/** The fields that {@link parsePage} reads. https://cloud.google.com/storage/docs/json_api#partial-response */
export const PAGE_FIELDS =
  "kind,nextPageToken,prefixes,items(name,size,generation,timeCreated,md5Hash,crc32c)";

// Half of a surrogate pair cannot be escaped in an address; no object can be called so.
const name = v.pipe(v.string(), v.nonEmpty(), v.regex(/^\P{Surrogate}+$/u));

function hash(algorithm: string, length: number): v.GenericSchema<unknown, string | undefined> {
  return v.optional(
    v.pipe(
      v.string(),
      v.check((text) => base64ToBytes(text)?.length === length),
      v.transform((text) => `${algorithm}:${bytesToHex(base64ToBytes(text) ?? new Uint8Array())}`),
    ),
  );
}

const page = v.object({
  // An empty listing has nothing else; without it, any "{}" would look like an empty bucket.
  kind: v.literal("storage#objects"),
  nextPageToken: v.optional(v.pipe(v.string(), v.nonEmpty())),
  prefixes: v.optional(v.array(name), []),
  items: v.optional(
    v.array(
      v.object({
        name,
        size: v.pipe(v.string(), v.regex(/^\d{1,15}$/), v.transform(Number)),
        generation: v.pipe(v.string(), v.regex(/^\d{1,20}$/)),
        timeCreated: v.pipe(
          v.string(),
          v.isoTimestamp(),
          v.transform((text) => new Date(text)),
        ),
        md5Hash: hash("md5", 16),
        crc32c: hash("crc32c", 4),
      }),
    ),
    [],
  ),
});

/**
 * Reads an answer of objects.list.
 *
 * @param answer the parsed JSON.
 * @param url where it came from.
 * @returns the page.
 * @throws RemoteError that names the first field that is wrong.
 * @see https://cloud.google.com/storage/docs/json_api/v1/objects#resource
 */
export function parsePage(answer: unknown, url: string): GcsPage {
  const result = v.safeParse(page, answer, { abortEarly: true });
  if (!result.success) {
    const [issue] = result.issues;
    throw new RemoteError(
      `Cannot read the listing ${redactUrl(url)}: ${v.getDotPath(issue) ?? "the answer"} should be ${issue.expected ?? issue.type}; is this Google Cloud Storage?`,
      { method: "GET", url: redactUrl(url) },
    );
  }
  const { nextPageToken: next, prefixes, items } = result.output;
  const objects = items.map(({ name, size, generation, timeCreated, md5Hash, crc32c }) => ({
    name,
    size,
    generation,
    createdAt: timeCreated,
    digest: md5Hash ?? crc32c,
  }));
  return { prefixes, objects, next };
}
