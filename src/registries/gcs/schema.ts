import * as v from "valibot";
import { base64ToBytes, bytesToHex } from "../../core/encoding.ts";
import { RemoteError } from "../../core/error.ts";
import { redactUrl } from "../../core/url.ts";
import { parseSchema } from "../../http/json.ts";

/** The fields that {@link parsePage} reads. https://cloud.google.com/storage/docs/json_api#partial-response */
export const PAGE_FIELDS =
  "kind,nextPageToken,prefixes,items(name,size,generation,timeCreated,md5Hash,crc32c)";

// Half of a surrogate pair cannot be escaped in a URL, and no object can have such a name.
const name = v.pipe(v.string(), v.nonEmpty(), v.regex(/^\P{Surrogate}+$/u));

function hash(algorithm: string, length: number) {
  return v.optional(
    v.pipe(
      v.string(),
      v.check((text) => base64ToBytes(text)?.length === length),
      v.transform((text) => `${algorithm}:${bytesToHex(base64ToBytes(text) ?? new Uint8Array())}`),
    ),
  );
}

const Page = v.object({
  // An empty listing has no other field. Without it, any "{}" would look like an empty bucket.
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

/** https://cloud.google.com/storage/docs/json_api/v1/objects#resource */
export function parsePage(response: unknown, url: string) {
  const shown = redactUrl(url);
  const page = parseSchema(
    Page,
    response,
    (problem) =>
      new RemoteError(
        `Cannot read the listing ${shown}: ${problem}; is this Google Cloud Storage?`,
        { method: "GET", url: shown },
      ),
  );
  const { nextPageToken: next, prefixes, items } = page;
  const objects = items.map(({ name, size, generation, timeCreated, md5Hash, crc32c }) => ({
    name,
    size,
    generation,
    createdAt: timeCreated,
    digest: md5Hash ?? crc32c,
  }));
  return { prefixes, objects, next };
}

export type GcsPage = ReturnType<typeof parsePage>;
export type GcsObject = GcsPage["objects"][number];
