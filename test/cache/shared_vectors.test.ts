import { describe, expect, test } from "vitest";
import { pathBelow } from "../../src/cache/file/store.ts";
import { cacheName, registryKey } from "../../src/cache/keys.ts";
import { parseCacheUrl } from "../../src/cache/open.ts";
import { formatEntry } from "../../src/cache/shared_entry.ts";
import { claimLifeMs } from "../../src/cache/shared_registry.ts";
import { caches } from "../../src/cache/table.ts";
import { formatDuration, parseDuration } from "../../src/core/duration.ts";
import { normalisePrefix } from "../../src/registries/s3/locator.ts";
import { parseVersion } from "../../src/version/version.ts";
import vectors from "../vectors/cache.json" with { type: "json" };

interface Case {
  name: string;
  op: string;
  in: Record<string, string>;
  out?: unknown;
  error?: string | true;
  errorText?: string;
}

const of = (op: string): [string, Case][] =>
  (vectors as unknown as readonly Case[])
    .filter((one) => one.op === op)
    .map((one) => [one.name, one]);

/** What the URL says, in the words of the vectors. */
function readUrl(url: string) {
  const { locator } = parseCacheUrl(url, caches);
  const { registryTtlMs, name: _, directory, ...own } = { directory: "", ...locator };
  const [backend] = url.split(":");
  return {
    backend,
    registryTTLSeconds: registryTtlMs / 1_000,
    dir: directory || "<default>",
    ...own,
  };
}

function expectFailure(work: () => unknown, { error = "", errorText }: Case): void {
  const why = String(errorText ?? error)
    // What follows is about durations of another language.
    .replace(/: time: .*/, "")
    .replace(/^unsupported cache scheme "".*/, "expected <scheme>://");
  expect(work).toThrow(why);
}

describe("the shared cache follows the vectors", () => {
  test.each(of("url"))("URL: %s", (_, one) => {
    const url = one.in.url ?? "";
    if (one.error !== undefined) return expectFailure(() => readUrl(url), one);
    const { atomic: __, ...expected } = one.out as Record<string, unknown>;
    expect(readUrl(url)).toMatchObject(expected);
  });

  test.each(of("ttl"))("TTL: %s", (_, one) => {
    const url = `gs://bucket?${one.in.query}`;
    if (one.error !== undefined) return expectFailure(() => readUrl(url), one);
    const { ms } = one.out as { ms: number };
    expect(parseCacheUrl(url, caches).locator.registryTtlMs).toBe(ms);
  });

  test.each(of("prefix"))("prefix: %s", (_, { in: given, out }) => {
    expect(normalisePrefix(given.prefix ?? "")).toBe(out);
  });

  test.each(of("key"))("file of a key: %s", (_, one) => {
    const { base = "", key = "" } = one.in;
    if (one.error !== undefined) return expectFailure(() => pathBelow(base, key), one);
    expect(pathBelow(base, key)).toBe(one.out);
  });

  test.each(of("registryCacheKey"))("key of the answer: %s", async (_, { in: given, out }) => {
    const platform = { os: "linux", arch: "amd64", libc: "glibc" } as const;
    expect(await registryKey({ scope: given.scope ?? "", platform })).toBe(out);
  });

  test.each(of("cacheKey"))("name of an artifact: %s", (_, { in: given, out }) => {
    expect(cacheName(given.tag ?? "", given.artifactURL ?? "")).toBe(out);
  });

  test.each(of("lockTTL"))("life of a claim: %s", (_, { in: given, out }) => {
    expect(formatDuration(claimLifeMs(parseDuration(given.ttl ?? "") ?? 0))).toBe(out);
  });

  test.each(of("sharedEntry"))("what is stored: %s", (_, { out }) => {
    const { claim, published, nodeID } = out as Record<"claim" | "published" | "nodeID", string>;
    const at = Date.UTC(2026, 4, 1);
    expect(formatEntry({ state: "expired", claim: { by: nodeID, at } })).toBe(claim);
    const version = parseVersion("v1.2.3");
    if (version === undefined) throw new Error("not a version");
    const resolution = {
      kind: "ready",
      release: { id: "id", tag: "v1.2.3", version },
      artifact: { name: "v1.2.3.tar.gz", url: "https://example.com/v1.2.3.tar.gz" },
    } as const;
    const { dewy, ...known } = JSON.parse(
      formatEntry({ answer: { resolution, tags: [] }, fetchedAt: at, state: "fresh" }),
    );
    expect(JSON.stringify(known)).toBe(published);
    expect(dewy).toBeDefined();
  });
});
