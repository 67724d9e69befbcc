import { NotFoundError } from "../../core/error.ts";
import type { RegistryContext } from "../../registries/driver.ts";
import { createGcsClient, type GcsGetOptions } from "../../registries/gcs/client.ts";
import { joinSignals } from "../../registries/list_registry.ts";
import { normaliseKey } from "../key.ts";
import { obeysConditions, probeKey } from "../probe.ts";
import { PART_BYTES, partsOf, readBounded } from "../stream.ts";
import type { CacheStore, WriteCondition } from "../types.ts";
import { createGcsWriteClient } from "./client.ts";
import type { GcsCacheLocator } from "./locator.ts";

const TYPE = "application/octet-stream";

export function openGcsCache(locator: GcsCacheLocator, context: RegistryContext): CacheStore {
  const { name, bucket, prefix } = locator;
  const client = createGcsClient(bucket, context);
  const writer = createGcsWriteClient(bucket, context);
  const full = (key: string): string => prefix + normaliseKey(key);
  const join = (signal?: AbortSignal): AbortSignal | undefined =>
    joinSignals(signal, context.signal);

  const get = async (key: string, options: GcsGetOptions) => {
    const signal = join(options.signal);
    try {
      return await client.get(full(key), { ...options, signal });
    } catch (error) {
      if (!(error instanceof NotFoundError)) throw error;
      // A missing bucket is another matter than a missing object: the listing names it.
      for await (const _ of client.list({ prefix: full(key), maxResults: 1, signal })) break;
      return undefined;
    }
  };

  let answer: boolean | undefined;
  async function probe(signal: AbortSignal | undefined): Promise<boolean> {
    const key = prefix + probeKey();
    try {
      return await obeysConditions((body, condition) =>
        writer.put(key, body, {
          generation: generationOf(condition),
          contentType: "text/plain",
          signal,
        }),
      );
    } finally {
      await writer.remove(key, signal).catch(() => {});
    }
  }

  return {
    name,
    async read(key, maxBytes, signal) {
      let version = "";
      const onValidator = (generation: string | undefined): void => {
        version = generation ?? "";
      };
      const stream = await get(key, { signal, onValidator });
      if (stream === undefined) return undefined;
      return { body: await readBounded(stream, maxBytes, `"${key}" in ${name}`), version };
    },
    open: (key, options) => get(key, options),
    write: async (key, body, { condition, contentType = TYPE, signal } = {}) =>
      writer.put(full(key), body, {
        generation: condition && generationOf(condition),
        contentType,
        signal: join(signal),
      }),
    async upload(key, body, signal) {
      const joined = join(signal);
      const parts = partsOf(body, PART_BYTES, `"${key}"`);
      if (body.bytes > PART_BYTES) return writer.uploadParts(full(key), body.bytes, parts, joined);
      const { value = new Uint8Array() } = await parts.next();
      await writer.put(full(key), value, { generation: "0", contentType: TYPE, signal: joined });
    },
    remove: (key, signal) => writer.remove(full(key), join(signal)),
    async *list(below, signal) {
      for await (const page of client.list({ prefix: prefix + below, signal: join(signal) })) {
        for (const { name, size, createdAt } of page.objects) {
          yield { key: name.slice(prefix.length), bytes: size, modifiedAt: createdAt.getTime() };
        }
      }
    },
    async isAtomic(signal) {
      answer ??= await probe(join(signal));
      return answer;
    },
  };
}

function generationOf(condition: WriteCondition): string {
  return condition === "absent" ? "0" : condition.version;
}
