import { NotFoundError } from "../../core/error.ts";
import type { RegistryContext } from "../../registries/driver.ts";
import { joinSignals } from "../../registries/list_registry.ts";
import { createS3Client, type S3GetOptions } from "../../registries/s3/client.ts";
import { normaliseKey } from "../key.ts";
import { obeysConditions, probeKey } from "../probe.ts";
import { PART_BYTES, partsOf, readBounded } from "../stream.ts";
import type { CacheItem, CacheStore, WriteCondition } from "../types.ts";
import { createS3WriteClient } from "./client.ts";
import type { S3CacheLocator } from "./locator.ts";

/** S3 requires quotes around an entity tag in `If-Match`; Ceph compares it with them and never finds it equal. */
type TagForm = "quoted" | "bare" | "none";

const MAX_PARTS = 10_000;

export function openS3Cache(locator: S3CacheLocator, context: RegistryContext): CacheStore {
  const { name, prefix } = locator;
  const client = createS3Client(locator, context);
  const writer = createS3WriteClient(locator, context);
  const full = (key: string): string => prefix + normaliseKey(key);
  const join = (signal?: AbortSignal): AbortSignal | undefined =>
    joinSignals(signal, context.signal);
  let form: TagForm | undefined;

  const get = async (key: string, options: S3GetOptions) => {
    const signal = join(options.signal);
    try {
      return await client.get(full(key), { ...options, signal });
    } catch (error) {
      if (!(error instanceof NotFoundError)) throw error;
      // A missing bucket is another matter than a missing object: the listing names it.
      for await (const _ of client.list({ prefix: full(key), maxKeys: 1, signal })) break;
      return undefined;
    }
  };

  /** Tries a form of entity tags on an object of its own. */
  async function tryForm(tried: TagForm, signal: AbortSignal | undefined): Promise<boolean> {
    const key = prefix + probeKey();
    const contentType = "text/plain";
    try {
      return await obeysConditions((body, condition) =>
        writer.put(key, body, { condition: headersOf(condition, tried), contentType, signal }),
      );
    } finally {
      await writer.remove(key, signal).catch(() => {});
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

  return {
    name,
    async read(key, maxBytes, signal) {
      let version = "";
      const onValidator = (tag: string | undefined): void => {
        version = tag ?? "";
      };
      const stream = await get(key, { signal, onValidator });
      if (stream === undefined) return undefined;
      return { body: await readBounded(stream, maxBytes, `"${key}" in ${name}`), version };
    },
    open: (key, options) => get(key, options),
    async write(key, body, options = {}) {
      const signal = join(options.signal);
      const { condition } = options;
      const tagForm = typeof condition === "object" ? await findForm(signal) : "quoted";
      return writer.put(full(key), body, {
        condition: condition && headersOf(condition, tagForm),
        contentType: options.contentType ?? "application/octet-stream",
        signal,
      });
    },
    async upload(key, body, signal) {
      const limit = Math.max(PART_BYTES, Math.ceil(body.bytes / MAX_PARTS));
      const parts = partsOf(body, limit, `"${key}"`);
      const joined = join(signal);
      if (body.bytes > limit) {
        // Not every service obeys a condition on an upload in parts, and it is much to send for nothing.
        if ((await client.head(full(key), { signal: joined })) !== undefined) return;
        return writer.uploadParts(full(key), parts, joined);
      }
      const { value = new Uint8Array() } = await parts.next();
      const options = { isNew: true, signal: joined };
      await client.put(full(key), value, "application/octet-stream", options);
    },
    remove: (key, signal) => writer.remove(full(key), join(signal)),
    list: (below, signal) => listBelow(prefix + below, join(signal)),
    isAtomic: async (signal) => (await findForm(join(signal))) !== "none",
  };

  async function* listBelow(
    below: string,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<CacheItem> {
    for await (const page of client.list({ prefix: below, signal })) {
      for (const { key, size, lastModified } of page.objects) {
        yield { key: key.slice(prefix.length), bytes: size, modifiedAt: lastModified.getTime() };
      }
      for (const directory of page.prefixes) yield* listBelow(directory, signal);
    }
  }
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
