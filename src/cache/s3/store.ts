import { CredentialError } from "../../core/error.ts";
import { joinSignals } from "../../core/timeout.ts";
import type { RegistryContext } from "../../registries/driver.ts";
import { createS3Client } from "../../registries/s3/client.ts";
import { normaliseKey } from "../key.ts";
import { obeysConditions, probeKey } from "../probe.ts";
import { entryOf, PART_BYTES, partsOf, unlessMissing } from "../stream.ts";
import type { CacheItem, CacheLeftover, CacheStore, WriteCondition } from "../types.ts";
import { createS3CacheClient, type S3Upload } from "./client.ts";
import type { S3CacheLocator } from "./locator.ts";

/** S3 requires quotes around an entity tag in `If-Match`; Ceph compares it with them and never finds it equal. */
type TagForm = "quoted" | "bare" | "none";

const MAX_PARTS = 10_000;

export function openS3Cache(locator: S3CacheLocator, context: RegistryContext): CacheStore {
  const { name, prefix } = locator;
  const reader = createS3Client(locator, context);
  const client = createS3CacheClient(locator, context);
  const full = (key: string): string => prefix + normaliseKey(key);
  const join = (signal?: AbortSignal): AbortSignal | undefined =>
    joinSignals(signal, context.signal);
  let form: TagForm | undefined;

  /** Tries a form of entity tags on an object of its own. */
  async function tryForm(tried: TagForm, signal: AbortSignal | undefined): Promise<boolean> {
    const key = prefix + probeKey();
    const contentType = "text/plain";
    try {
      return await obeysConditions((body, condition) =>
        client.put(key, body, { condition: headersOf(condition, tried), contentType, signal }),
      );
    } finally {
      await client.remove(key, signal).catch(() => {});
    }
  }

  async function findForm(signal: AbortSignal | undefined): Promise<TagForm> {
    if (form !== undefined) return form;
    let found: TagForm = "none";
    try {
      if (await tryForm("quoted", signal)) found = "quoted";
      else if (await tryForm("bare", signal)) found = "bare";
    } catch (error) {
      if (!isUnsupported(error)) throw error;
    }
    form = found;
    return found;
  }

  async function* listBelow(
    below: string,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<CacheItem> {
    for await (const page of reader.list({ prefix: below, signal })) {
      for (const { key, size, lastModified } of page.objects) {
        yield { key: key.slice(prefix.length), bytes: size, modifiedAt: lastModified.getTime() };
      }
      for (const directory of page.prefixes) yield* listBelow(directory, signal);
    }
  }

  /** None where they cannot be listed: the permission is one of its own, and not every service has them. */
  async function uploads(below: string, signal: AbortSignal | undefined) {
    try {
      return await client.uploads(prefix + below, signal);
    } catch (error) {
      if (error instanceof CredentialError || isUnsupported(error)) return [];
      throw error;
    }
  }

  function leftoverOf(upload: S3Upload): CacheLeftover {
    return {
      key: upload.key.slice(prefix.length),
      bytes: 0,
      modifiedAt: upload.startedAt,
      remove: (signal) => client.abort(upload, join(signal)),
    };
  }

  return {
    name,
    read: (key, maxBytes, signal) =>
      unlessMissing(
        client.get(full(key), join(signal)).then((response) => {
          const version = response.headers.get("etag") ?? "";
          return entryOf(response, version, { maxBytes, what: `"${key}" in ${name}` });
        }),
      ),
    open: (key, { offset, signal }) =>
      unlessMissing(reader.get(full(key), { offset, signal: join(signal) })),
    async write(key, body, { condition, contentType = "application/octet-stream", signal } = {}) {
      const joined = join(signal);
      const tagForm = typeof condition === "object" ? await findForm(joined) : "quoted";
      const headers = condition && headersOf(condition, tagForm);
      return client.put(full(key), body, { condition: headers, contentType, signal: joined });
    },
    async upload(key, body, signal) {
      const limit = Math.max(PART_BYTES, Math.ceil(body.bytes / MAX_PARTS));
      const parts = partsOf(body, limit, `"${key}"`);
      const joined = join(signal);
      if (body.bytes > limit) {
        // Not every service obeys a condition on an upload in parts, and it is much to send for nothing.
        if ((await reader.head(full(key), { signal: joined })) !== undefined) return;
        return client.uploadParts(full(key), parts, joined);
      }
      const { value = new Uint8Array() } = await parts.next();
      await client.create(full(key), value, joined);
    },
    remove: (key, signal) => client.remove(full(key), join(signal)),
    list: (below, signal) => listBelow(prefix + below, join(signal)),
    async *leftovers(below, signal) {
      yield* (await uploads(below, join(signal))).map(leftoverOf);
    },
    isAtomic: async (signal) => (await findForm(join(signal))) !== "none",
  };
}

function headersOf(condition: WriteCondition, form: TagForm): Record<string, string> {
  if (condition === "absent") return { "if-none-match": "*" };
  const { version } = condition;
  return { "if-match": form === "bare" ? version.replaceAll('"', "") : version };
}

/** OpenStack Swift, for one, implements no conditional writes. */
function isUnsupported(error: unknown): boolean {
  return typeof error === "object" && error !== null && "status" in error && error.status === 501;
}
