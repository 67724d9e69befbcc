import { joinSignals } from "../../core/timeout.ts";
import type { RegistryContext } from "../../registries/driver.ts";
import { createGcsClient } from "../../registries/gcs/client.ts";
import { normaliseKey } from "../key.ts";
import { obeysConditions, probeKey } from "../probe.ts";
import { entryOf, PART_BYTES, partsOf, unlessMissing } from "../stream.ts";
import type { CacheStore, WriteCondition } from "../types.ts";
import { createGcsCacheClient } from "./client.ts";
import type { GcsCacheLocator } from "./locator.ts";

const TYPE = "application/octet-stream";

export function openGcsCache(locator: GcsCacheLocator, context: RegistryContext): CacheStore {
  const { name, bucket, prefix } = locator;
  const reader = createGcsClient(bucket, context);
  const client = createGcsCacheClient(bucket, context);
  const full = (key: string): string => prefix + normaliseKey(key);
  const join = (signal?: AbortSignal): AbortSignal | undefined =>
    joinSignals(signal, context.signal);

  let answer: boolean | undefined;
  async function probe(signal: AbortSignal | undefined): Promise<boolean> {
    const key = prefix + probeKey();
    try {
      return await obeysConditions((body, condition) =>
        client.put(key, body, {
          generation: generationOf(condition),
          contentType: "text/plain",
          signal,
        }),
      );
    } finally {
      await client.remove(key, signal).catch(() => {});
    }
  }

  return {
    name,
    read: (key, maxBytes, signal) =>
      unlessMissing(
        client.get(full(key), join(signal)).then((response) => {
          const version = response.headers.get("x-goog-generation") ?? "";
          return entryOf(response, version, { maxBytes, what: `"${key}" in ${name}` });
        }),
      ),
    open: (key, { offset, signal }) =>
      unlessMissing(reader.get(full(key), { offset, signal: join(signal) })),
    write: async (key, body, { condition, contentType = TYPE, signal } = {}) =>
      client.put(full(key), body, {
        generation: condition && generationOf(condition),
        contentType,
        signal: join(signal),
      }),
    async upload(key, body, signal) {
      const joined = join(signal);
      const parts = partsOf(body, PART_BYTES, `"${key}"`);
      if (body.bytes > PART_BYTES) return client.uploadParts(full(key), body.bytes, parts, joined);
      const { value = new Uint8Array() } = await parts.next();
      await client.put(full(key), value, { generation: "0", contentType: TYPE, signal: joined });
    },
    remove: (key, signal) => client.remove(full(key), join(signal)),
    async *list(below, signal) {
      for await (const page of reader.list({ prefix: prefix + below, signal: join(signal) })) {
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
