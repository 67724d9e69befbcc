import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { bundleForEdge, startWorker } from "./workerd.ts";

/** What the whole library weighs, minified and gzipped; the README names the same number. */
const MAX_GZIP_BYTES = 64 * 1024;

const WORKER = `
  import { libraryCase } from "./test/runtime/library_case.ts";
  export default {
    async fetch() {
      try {
        return Response.json(await libraryCase());
      } catch (error) {
        return new Response(String(error.stack), { status: 500 });
      }
    },
  };`;

test("workerd keeps the library's promises", async () => {
  const worker = await startWorker(await bundleForEdge(WORKER));
  try {
    const response = await fetch(worker.url);
    const text = await response.text();
    expect(response.status, text).toBe(200);
    expect(JSON.parse(text)).toContain("newest version of a bucket, signed");
  } finally {
    await worker.close();
  }
});

test("the library's bundle has no import left and stays small", async () => {
  const bundle = await bundleForEdge('export * from "./mod.ts";', true);
  expect(bundle).not.toMatch(/\bimport\s*[{*"']|\bfrom\s*["']|node:/);
  expect(gzipSync(bundle, { level: 9 }).length).toBeLessThan(MAX_GZIP_BYTES);
});
