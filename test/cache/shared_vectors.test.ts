import { describe, expect, test } from "vitest";
import { cacheName, registryKey } from "../../src/cache/keys.ts";
import { formatEntry } from "../../src/cache/shared_entry.ts";
import { claimLifeMs } from "../../src/cache/shared_registry.ts";
import { formatDuration, parseDuration } from "../../src/core/duration.ts";
import { parseVersion } from "../../src/version/version.ts";
import vectors from "../vectors/cache.json" with { type: "json" };

interface Case {
  name: string;
  op: string;
  in: Record<string, string>;
  out?: unknown;
}

const of = (op: string): [string, Case][] =>
  (vectors as unknown as readonly Case[])
    .filter((one) => one.op === op)
    .map((one) => [one.name, one]);

describe("the shared cache follows the vectors", () => {
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
