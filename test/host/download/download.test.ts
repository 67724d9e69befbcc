import { createHash } from "node:crypto";
import { link, mkdir, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import {
  ConflictError,
  IntegrityError,
  NotFoundError,
  RemoteError,
} from "../../../src/core/error.ts";
import type { Artifact, OpenOptions } from "../../../src/core/types.ts";
import { downloadArtifact } from "../../../src/host/download/download.ts";
import { cleanStaging } from "../../../src/host/download/part_file.ts";
import { ARTIFACT, BODY, downloadCase, FakeOpen, SHA256 } from "./downloading.ts";

const FINAL = `${ARTIFACT.name}.dewy`;
const PART = `${FINAL}-part`;
const SIDECAR = `${FINAL}-part.json`;
const reset = new RemoteError("connection reset");

test("a download is stored under its name, with its size and SHA-256", async () => {
  await using c = await downloadCase();
  const registry = new FakeOpen({});
  const downloaded = await downloadArtifact(c.request(registry));
  expect(downloaded).toEqual({
    path: join(c.directory, FINAL),
    bytes: BODY.byteLength,
    sha256: SHA256,
  });
  expect(Buffer.compare(await readFile(downloaded.path), BODY)).toBe(0);
  expect(await c.files()).toEqual([FINAL, SIDECAR]);
});

const DIGESTS: Record<string, string> = {
  sha1: createHash("sha1").update(BODY).digest("hex"),
  sha384: createHash("sha384").update(BODY).digest("hex"),
  sha512: createHash("sha512").update(BODY).digest("hex"),
  md5: createHash("md5").update(BODY).digest("hex"),
};
for (const [algorithm, hex] of Object.entries(DIGESTS)) {
  test(`a stated ${algorithm} is checked`, async () => {
    await using c = await downloadCase();
    const artifact = { ...ARTIFACT, digest: `${algorithm}:${hex}` };
    await downloadArtifact(c.request(new FakeOpen({}), { artifact }));
    const wrong = { ...ARTIFACT, digest: `${algorithm}:${"0".repeat(hex.length)}` };
    await expect(
      downloadArtifact(c.request(new FakeOpen({}), { artifact: wrong })),
    ).rejects.toMatchObject({ code: "integrity" });
  });
}

// The check values of https://reveng.sourceforge.io/crc-catalogue/ for "123456789".
const CHECKS = { crc32: "cbf43926", crc32c: "e3069283", crc64nvme: "ae8b14860a799888" };
for (const [algorithm, hex] of Object.entries(CHECKS)) {
  test(`a stated ${algorithm} is checked`, async () => {
    await using c = await downloadCase();
    const body = new TextEncoder().encode("123456789");
    const artifact = { ...ARTIFACT, size: 9, digest: `${algorithm}:${hex}` };
    await downloadArtifact(c.request(new FakeOpen({ body }), { artifact }));
    const other = new TextEncoder().encode("123456780");
    await expect(
      downloadArtifact(
        c.request(new FakeOpen({ body: other }), { artifact: { ...artifact, revision: "2" } }),
      ),
    ).rejects.toMatchObject({ code: "integrity" });
  });
}

test("a digest of an unknown algorithm is refused before anything is fetched", async () => {
  await using c = await downloadCase();
  const artifact = { ...ARTIFACT, digest: "whirlpool:00" };
  await expect(downloadArtifact(c.request(new FakeOpen(), { artifact }))).rejects.toMatchObject({
    code: "integrity",
    retryable: false,
    message: expect.stringContaining("whirlpool"),
  });
});

test("without a digest and a size the bytes are accepted unchecked", async () => {
  await using c = await downloadCase();
  const artifact: Artifact = { name: "app", url: "https://example.com/app" };
  const downloaded = await downloadArtifact(c.request(new FakeOpen({}), { artifact }));
  expect(downloaded.sha256).toBe(SHA256);
});

test("wrong bytes of a fresh download are refused, and nothing is kept", async () => {
  await using c = await downloadCase();
  const registry = new FakeOpen({ body: new Uint8Array(BODY.byteLength) });
  await expect(downloadArtifact(c.request(registry))).rejects.toMatchObject({
    code: "integrity",
    message: expect.stringMatching(/"app_linux_amd64\.tar\.gz" of v1\.0\.0.*sha256/),
  });
  expect(await c.files()).toEqual([]);
});

test("more bytes than stated are refused as soon as they arrive", async () => {
  await using c = await downloadCase();
  const body = new Uint8Array(2_000_000);
  const registry = new FakeOpen({ body });
  await expect(downloadArtifact(c.request(registry))).rejects.toMatchObject({ code: "integrity" });
  expect(registry.pulled).toBeLessThan(400_000);
  expect(await c.files()).toEqual([]);
});

test("an announced size above the limit is refused before the first byte", async () => {
  await using c = await downloadCase();
  await expect(downloadArtifact(c.request(new FakeOpen(), { maxBytes: 1000 }))).rejects.toThrow(
    /293 KiB, more than the 1000 B that --max-artifact-size allows/,
  );
});

test("an unannounced size above the limit stops the download at once", async () => {
  await using c = await downloadCase();
  const { size: _, ...artifact } = ARTIFACT;
  const registry = new FakeOpen({});
  await expect(
    downloadArtifact(c.request(registry, { artifact, maxBytes: 50_000 })),
  ).rejects.toMatchObject({
    retryable: false,
    message: expect.stringContaining("--max-artifact-size"),
  });
  expect(registry.pulled).toBe(60_000);
  expect(await c.files()).toEqual([]);
});

test("an interrupted download is resumed: after a reset, then after a short body", async () => {
  await using c = await downloadCase();
  const registry = new FakeOpen({ bytes: 120_000, error: reset }, { bytes: 30_000 }, {});
  const downloaded = await downloadArtifact(c.request(registry));
  expect(registry.offsets).toEqual([0, 120_000, 150_000]);
  expect(downloaded.sha256).toBe(SHA256);
  const retries = c.events.flatMap((event) => (event.type === "retry" ? [event.reason] : []));
  expect(retries).toEqual(["connection reset", "the body ended early"]);
});

test("attempts that bring nothing back off exponentially and stop after five", async () => {
  await using c = await downloadCase();
  const failing = { bytes: 0, error: reset };
  const registry = new FakeOpen({ bytes: 100, error: reset }, failing, failing, failing, failing);
  await expect(downloadArtifact(c.request(registry))).rejects.toMatchObject({
    code: "remote",
    retryable: true,
    message: expect.stringMatching(/after 100 B of 293 KiB: connection reset/),
  });
  expect(registry.unused).toBe(0);
  expect(c.clock.slept).toHaveLength(4);
  for (const [index, ms] of c.clock.slept.entries()) {
    const longest = 500 * 2 ** Math.max(0, index);
    expect(ms).toBeGreaterThanOrEqual(longest / 2);
    expect(ms).toBeLessThanOrEqual(longest);
  }
  expect(await c.files()).toEqual([PART, SIDECAR]);
});

test("an attempt that brings bytes resets the count", async () => {
  await using c = await downloadCase();
  const failing = { bytes: 0, error: reset };
  const some = { bytes: 1000, error: reset };
  const registry = new FakeOpen(
    failing,
    failing,
    failing,
    some,
    failing,
    failing,
    failing,
    some,
    {},
  );
  expect((await downloadArtifact(c.request(registry))).sha256).toBe(SHA256);
});

test("attempts that bring a few bytes each are limited", async () => {
  await using c = await downloadCase();
  const drops = Array.from({ length: 100 }, () => ({ bytes: 10, error: reset }));
  const registry = new FakeOpen(...drops);
  await expect(downloadArtifact(c.request(registry))).rejects.toThrow(/interrupted repeatedly/);
  expect(registry.unused).toBe(0);
});

test("an error that cannot be retried is passed on", async () => {
  await using c = await downloadCase();
  const gone = new NotFoundError("no such asset");
  await expect(downloadArtifact(c.request(new FakeOpen({ error: gone })))).rejects.toBe(gone);
});

test("a long Retry-After is left to the poll loop", async () => {
  await using c = await downloadCase();
  const busy = new RemoteError("503", { retryAfterMs: 600_000 });
  await expect(downloadArtifact(c.request(new FakeOpen({ error: busy })))).rejects.toBe(busy);
  expect(c.clock.slept).toEqual([]);
});

test("without a digest and a revision an interrupted download starts over", async () => {
  await using c = await downloadCase();
  const artifact: Artifact = { name: "app", url: "https://example.com/app", size: BODY.byteLength };
  const registry = new FakeOpen({ bytes: 120_000, error: reset }, {});
  const downloaded = await downloadArtifact(c.request(registry, { artifact }));
  expect(registry.offsets).toEqual([0, 0]);
  expect(downloaded.sha256).toBe(SHA256);
});

async function interrupted(c: Awaited<ReturnType<typeof downloadCase>>): Promise<void> {
  const stop = new AbortController();
  const registry = new FakeOpen({ bytes: 120_000, hang: true });
  const request = c.request(registry, {
    signal: stop.signal,
    emit: () => registry.pulled >= 10_000 && queueMicrotask(() => stop.abort()),
  });
  await expect(downloadArtifact(request)).rejects.toMatchObject({ code: "aborted" });
  await writeFile(join(c.directory, PART), BODY.subarray(0, 120_000));
}

test("a download of an earlier process is resumed", async () => {
  await using c = await downloadCase();
  await interrupted(c);
  const registry = new FakeOpen({});
  expect((await downloadArtifact(c.request(registry))).sha256).toBe(SHA256);
  expect(registry.offsets).toEqual([120_000]);
  expect(c.events).toContainEqual(
    expect.objectContaining({ type: "downloaded", resumedFrom: 120_000, bytes: BODY.byteLength }),
  );
});

const others: Record<string, Partial<Artifact>> = {
  "another URL": { url: "ghr://acme/app/tag/v1.0.1/app_linux_amd64.tar.gz" },
  "another revision": { revision: "asset-2" },
  "another digest": { digest: `sha512:${DIGESTS.sha512}` },
};
for (const [what, change] of Object.entries(others)) {
  test(`a download of an earlier process is not used for ${what}`, async () => {
    await using c = await downloadCase();
    await interrupted(c);
    const registry = new FakeOpen({});
    await downloadArtifact(c.request(registry, { artifact: { ...ARTIFACT, ...change } }));
    expect(registry.offsets).toEqual([0]);
  });
}

test("a download of an earlier process without a readable sidecar is not used", async () => {
  await using c = await downloadCase();
  await interrupted(c);
  await writeFile(join(c.directory, SIDECAR), '{"url":');
  const registry = new FakeOpen({});
  await downloadArtifact(c.request(registry));
  expect(registry.offsets).toEqual([0]);
});

test("a resumed file with wrong bytes is discarded and fetched again from the start", async () => {
  await using c = await downloadCase();
  await interrupted(c);
  await writeFile(join(c.directory, PART), new Uint8Array(120_000));
  const registry = new FakeOpen({}, {});
  expect((await downloadArtifact(c.request(registry))).sha256).toBe(SHA256);
  expect(registry.offsets).toEqual([120_000, 0]);
});

test("an interrupted download with wrong bytes is fetched again from the start", async () => {
  await using c = await downloadCase();
  const other = new Uint8Array(BODY.byteLength);
  const registry = new FakeOpen({ body: other, bytes: 120_000, error: reset }, {}, {});
  expect((await downloadArtifact(c.request(registry))).sha256).toBe(SHA256);
  expect(registry.offsets).toEqual([0, 120_000, 0]);
});

test("a download of an earlier process is not used if nothing identifies its bytes", async () => {
  await using c = await downloadCase();
  const artifact: Artifact = { name: ARTIFACT.name, url: ARTIFACT.url, size: BODY.byteLength };
  const failing = Array.from({ length: 5 }, () => ({ bytes: 1000, error: reset }));
  const first = new FakeOpen(...failing);
  await expect(downloadArtifact(c.request(first, { artifact }))).rejects.toThrow(/interrupted/);
  const registry = new FakeOpen({});
  await downloadArtifact(c.request(registry, { artifact }));
  expect(registry.offsets).toEqual([0]);
});

test("with a validator it is used after a kill, but not after a reboot", async () => {
  await using c = await downloadCase();
  const { digest: _, ...artifact } = ARTIFACT;
  const failing = Array.from({ length: 4 }, () => ({ bytes: 0, error: reset }));
  for (const [boot, offset] of [
    [undefined, 120_000],
    ["another", 0],
  ] as const) {
    const first = new FakeOpen({ bytes: 120_000, error: reset, validator: '"a"' }, ...failing);
    await expect(downloadArtifact(c.request(first, { artifact }))).rejects.toThrow(/interrupted/);
    if (boot !== undefined) {
      const sidecar = JSON.parse(await readFile(join(c.directory, SIDECAR), "utf8"));
      await writeFile(join(c.directory, SIDECAR), JSON.stringify({ ...sidecar, boot }));
    }
    const registry = new FakeOpen({});
    await downloadArtifact(c.request(registry, { artifact }));
    expect(registry.offsets).toEqual([process.platform === "linux" ? offset : 0]);
    for (const name of await c.files()) await rm(join(c.directory, name));
  }
});

test("without a digest and a validator an interrupted download starts over", async () => {
  await using c = await downloadCase();
  const { digest: _, ...artifact } = ARTIFACT;
  const registry = new FakeOpen({ bytes: 120_000, error: reset }, {});
  expect((await downloadArtifact(c.request(registry, { artifact }))).sha256).toBe(SHA256);
  expect(registry.offsets).toEqual([0, 0]);
});

test("without a digest it is resumed with the validator", async () => {
  await using c = await downloadCase();
  const { digest: _, ...artifact } = ARTIFACT;
  const registry = new FakeOpen({ bytes: 120_000, error: reset, validator: '"a"' }, {});
  expect((await downloadArtifact(c.request(registry, { artifact }))).sha256).toBe(SHA256);
  expect(registry.offsets).toEqual([0, 120_000]);
  expect(registry.validators).toEqual([undefined, '"a"']);
});

test("a file that has changed since is fetched from the start, also by a later process", async () => {
  await using c = await downloadCase();
  const { digest: _, ...artifact } = ARTIFACT;
  const page = new TextEncoder().encode("<html>Please sign in</html>");
  const wrong = { body: page, validator: '"page"' };
  const failing = Array.from({ length: 4 }, () => ({ bytes: 0, error: reset }));
  const first = new FakeOpen(wrong, ...failing);
  await expect(downloadArtifact(c.request(first, { artifact }))).rejects.toThrow(/interrupted/);
  const registry = new FakeOpen({ error: new IntegrityError("the file has changed since") }, {});
  expect((await downloadArtifact(c.request(registry, { artifact }))).sha256).toBe(SHA256);
  expect(registry.offsets).toEqual([page.byteLength, 0]);
  expect(registry.validators).toEqual(['"page"', undefined]);
});

test.each(["a link to it", "a second name of it"])(
  "a file elsewhere is left alone when %s is in the place of a download",
  async (what) => {
    await using c = await downloadCase();
    const elsewhere = join(c.directory, "..", "precious");
    await writeFile(elsewhere, "precious");
    for (const name of [PART, FINAL, SIDECAR]) {
      await interrupted(c);
      await rm(join(c.directory, name), { force: true });
      if (what === "a link to it") await symlink(elsewhere, join(c.directory, name));
      else await link(elsewhere, join(c.directory, name));
      await downloadArtifact(c.request(new FakeOpen({}, {})));
      expect(await readFile(elsewhere, "utf8")).toBe("precious");
      expect(await c.files()).toEqual([FINAL, SIDECAR]);
      await cleanStaging(c.directory);
    }
  },
);

test("only downloads are removed from the staging directory", async () => {
  await using c = await downloadCase();
  await mkdir(join(c.directory, "mine.dewy"));
  await writeFile(join(c.directory, "app.tar.gz.part"), "mine");
  await symlink("..", join(c.directory, "link.dewy-part"));
  await downloadArtifact(c.request(new FakeOpen({})));
  const { directory } = c;
  await cleanStaging(directory);
  expect((await readdir(directory)).sort()).toEqual([
    "app.tar.gz.part",
    "link.dewy-part",
    "mine.dewy",
  ]);
});

test("wrong bytes a second time are refused, and nothing is kept", async () => {
  await using c = await downloadCase();
  await interrupted(c);
  const body = new Uint8Array(BODY.byteLength);
  const registry = new FakeOpen({ body }, { body });
  await expect(downloadArtifact(c.request(registry))).rejects.toMatchObject({ code: "integrity" });
  expect(registry.unused).toBe(0);
  expect(await c.files()).toEqual([]);
});

for (const refusal of [
  new RemoteError("range", { status: 416, retryable: false }),
  new ConflictError("the object has changed"),
]) {
  test(`a refused offset (${refusal.code}) starts over`, async () => {
    await using c = await downloadCase();
    await interrupted(c);
    const registry = new FakeOpen({ error: refusal }, {});
    expect((await downloadArtifact(c.request(registry))).sha256).toBe(SHA256);
    expect(registry.offsets).toEqual([120_000, 0]);
  });
}

test("a partial file that has all bytes is not requested again", async () => {
  await using c = await downloadCase();
  await interrupted(c);
  await writeFile(join(c.directory, PART), BODY);
  expect((await downloadArtifact(c.request(new FakeOpen()))).sha256).toBe(SHA256);
});

test("a complete file of the same artifact is reused without a request and an event", async () => {
  await using c = await downloadCase();
  await downloadArtifact(c.request(new FakeOpen({})));
  c.events.length = 0;
  expect((await downloadArtifact(c.request(new FakeOpen()))).sha256).toBe(SHA256);
  expect(c.events).toEqual([]);
});

test("a complete file that was modified is fetched again", async () => {
  await using c = await downloadCase();
  const { path } = await downloadArtifact(c.request(new FakeOpen({})));
  await writeFile(path, new Uint8Array(BODY.byteLength));
  const registry = new FakeOpen({});
  expect((await downloadArtifact(c.request(registry))).sha256).toBe(SHA256);
  expect(registry.unused).toBe(0);
});

test("files of other artifacts in the staging directory are removed", async () => {
  await using c = await downloadCase();
  await writeFile(join(c.directory, "old.tar.gz.dewy-part"), "x");
  await writeFile(join(c.directory, "old.tar.gz.dewy-part.json"), "{}");
  await downloadArtifact(c.request(new FakeOpen({})));
  expect(await c.files()).toEqual([FINAL, SIDECAR]);
});

for (const name of [
  "../../etc/passwd",
  "a/b",
  "..",
  "",
  "a\0b",
  `${"x".repeat(300)}.zip`,
  ".hidden",
]) {
  test(`the name ${JSON.stringify(name.slice(0, 20))} stays in the staging directory`, async () => {
    await using c = await downloadCase();
    const artifact = { ...ARTIFACT, name };
    const { path } = await downloadArtifact(c.request(new FakeOpen({}), { artifact }));
    expect(join(path, "..")).toBe(c.directory);
    expect(await c.files()).toHaveLength(2);
  });
}

test("progress is reported at most every 250 ms", async () => {
  await using c = await downloadCase();
  const registry = new FakeOpen({});
  const open = async (options: OpenOptions): Promise<ReadableStream<Uint8Array>> =>
    (await registry.open(options)).pipeThrough(
      new TransformStream({
        transform: (chunk, controller) => {
          c.clock.advance(100);
          controller.enqueue(chunk);
        },
      }),
    );
  await downloadArtifact(c.request(registry, { open }));
  const progress = c.events.flatMap((event) =>
    event.type === "download-progress" ? [event.received] : [],
  );
  // 30 chunks of 10 kB, 100 ms apart: the first one and then every third.
  expect(progress).toHaveLength(10);
  expect(progress.every((bytes, index) => index === 0 || bytes > (progress[index - 1] ?? 0))).toBe(
    true,
  );
});

test("an abort keeps the bytes so far", async () => {
  await using c = await downloadCase();
  await interrupted(c);
  expect(await c.files()).toEqual([PART, SIDECAR]);
});

test("an artifact larger than the disk's free space is refused with both numbers", async () => {
  await using c = await downloadCase();
  const artifact = { ...ARTIFACT, size: 2 ** 52 };
  await expect(
    downloadArtifact(c.request(new FakeOpen(), { artifact, maxBytes: 2 ** 53 })),
  ).rejects.toMatchObject({
    name: "HostError",
    message: expect.stringMatching(/file system of .*staging is full: .* free, 4 PiB needed/),
  });
});
