// One download and extraction on the built library, in a process of its own so that its peak memory can be
// told. Arguments: a URL, a directory, and the size in bytes. Run by ../stage.ts.
import { join } from "node:path";
import { systemClock } from "../../dist/src/core/clock.js";
import { EXTRACT_LIMITS } from "../../dist/src/host/archive/budget.js";
import { extractArchive } from "../../dist/src/host/archive/extract.js";
import { downloadArtifact } from "../../dist/src/host/download/download.js";
import { createHttpClient } from "../../dist/src/http/client.js";

const [url, directory, size] = process.argv.slice(2);
const emit = () => {};
const { signal } = new AbortController();
const name = new URL(url).pathname.slice(1);
const http = createHttpClient({ fetch, clock: systemClock, emit });

const start = performance.now();
const { path } = await downloadArtifact({
  artifact: { name, url, size: Number(size), revision: "1" },
  tag: "v1.0.0",
  directory: join(directory, "downloads"),
  maxBytes: 2 ** 40,
  open: async (offset) =>
    (await http.send({ url, headers: offset === 0 ? {} : { range: `bytes=${offset}-` } })).body,
  clock: systemClock,
  emit,
  signal,
});
const downloaded = performance.now();
const target = join(directory, "release");
const { entries } = await extractArchive({
  file: path,
  name,
  directory: target,
  limits: EXTRACT_LIMITS,
  signal,
});
const extracted = performance.now();

console.log(
  JSON.stringify({
    downloadMs: downloaded - start,
    extractMs: extracted - downloaded,
    peakMiB: process.resourceUsage().maxRSS / 1024,
    entries,
  }),
);
