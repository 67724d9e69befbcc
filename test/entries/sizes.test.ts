import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ROOT } from "../runtime/runtimes.ts";
import { handleGitHub, LATEST } from "./calls.ts";
import { measureEntry } from "./sizes.ts";

const { ghr, s3, gs, img, grpc } = LATEST;
const CALLS = {
  "dewy/github": [ghr],
  "dewy/s3": [s3],
  "dewy/gcs": [gs],
  "dewy/oci": [img],
  "dewy/grpc": [grpc],
  "dewy/handler": [handleGitHub],
  "dewy/verify": [ghr, s3, gs, img, grpc],
  dewy: [ghr, s3, gs, img, grpc],
};

const exported: Readonly<Record<string, string>> = JSON.parse(
  readFileSync(join(ROOT, "deno.json"), "utf8"),
).imports;

/** The rows of the table of sizes in docs/library.md: an import, and three limits in kB. */
const ROWS = [
  ...readFileSync(join(ROOT, "docs/library.md"), "utf8").matchAll(
    /^\| `(dewy[\w/]*)` \|.*\| (\d+) kB \| (\d+) kB \| (\d+) kB \|$/gm,
  ),
].map(([, name = "", ...limits]) => [name, limits.map(Number)] as const);

const kB = (bytes: number): string => (bytes / 1_000).toFixed(1);

test("docs/library.md states the size of every entry that runs on the edge", () => {
  const edge = Object.keys(exported).filter(
    (name) => name.startsWith("dewy") && !/\/(driver|host)$/.test(name),
  );
  expect(ROWS.map(([name]) => name).sort()).toEqual(edge.sort());
});

test.each(ROWS)(
  "%s takes at most %j kB: its import, with its calls, in all",
  async (name, limits) => {
    const calls = Object.entries(CALLS).find(([entry]) => entry === name)?.[1] ?? [];
    const size = await measureEntry(exported[name] ?? "", calls);
    const later = size.onDemand.map(([module, bytes]) => `${module} ${kB(bytes)}`).join(", ");
    console.log(
      `${name}: import ${kB(size.import)} kB, with its calls ${kB(size.called)}, everything ${kB(size.everything)}; on demand: ${later || "nothing"}`,
    );
    for (const [nth, actual] of [size.import, size.called, size.everything].entries()) {
      const limit = (limits[nth] ?? 0) * 1_000;
      expect(actual).toBeLessThanOrEqual(limit);
      // A limit that is far above the size lets it grow unnoticed.
      expect(limit).toBeLessThan(1.1 * actual + 1_000);
    }
  },
);
