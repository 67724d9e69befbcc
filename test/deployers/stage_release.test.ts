import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import { VerificationError } from "../../src/core/error.ts";
import type { DewyEvent } from "../../src/core/event.ts";
import type { Proof } from "../../src/core/proof.ts";
import type { Staged } from "../../src/deploy/deployer.ts";
import { openReleaseDirectory } from "../../src/deployers/release_directory.ts";
import { stageRelease } from "../../src/deployers/stage_release.ts";
import { cacheDirectory } from "../../src/host/download/cache_directory.ts";
import type { Gate } from "../../src/verify/gate.ts";
import type { Subject } from "../../src/verify/types.ts";
import { candidate, eventsOf, never, testRegistry } from "../deploy/world.ts";
import { sha256Hex } from "../support/subject.ts";
import { tempDirectory } from "../support/temp_directory.ts";

const SCRIPT = "#!/bin/sh\necho hello\n";

/** A release with one file, and what has happened to it. */
async function gated(verify: Gate["verify"]) {
  const directory = await openReleaseDirectory(await tempDirectory());
  const events: DewyEvent[] = [];
  const records: Staged[] = [];
  let downloads = 0;
  const run = stageRelease({
    registry: {
      ...testRegistry(),
      open: async ({ name }) => {
        if (name === "app") downloads += 1;
        return new Blob([name === "app" ? SCRIPT : "signature"]).stream();
      },
    },
    directory,
    downloads: () => cacheDirectory(directory.root, undefined),
    maxArtifactBytes: 1000,
    maxExpandedBytes: 1000,
    gate: { verify },
    clock: systemClock,
    emit: (event) => events.push(event),
  });
  const files = [
    { name: "app", url: "test://app" },
    { name: "app.sig", url: "test://app.sig" },
  ];
  return {
    events,
    records,
    directory,
    downloads: () => downloads,
    stage: () =>
      run({ ...candidate("v1.0.0", { name: "app" }), files }, never(), async (made) => {
        records.push(made);
      }),
  };
}

/** Stages a single file, and returns the name, permissions and content in the release. */
async function stage(tag: string, name: string, content: string, isNamed?: boolean) {
  const directory = await openReleaseDirectory(await tempDirectory());
  const registry = {
    ...testRegistry(),
    open: async () => new Blob([content]).stream() as ReadableStream<Uint8Array>,
  };
  const run = stageRelease({
    registry,
    directory,
    downloads: () => cacheDirectory(directory.root, undefined),
    maxArtifactBytes: 1000,
    maxExpandedBytes: 1000,
    clock: systemClock,
    emit: () => {},
  });
  const staged = { ...candidate(tag, { name }), ...(isNamed === undefined ? {} : { isNamed }) };
  const made = await run(staged, new AbortController().signal, async () => {});
  const release = directory.path(made.directory);
  const files = await readdir(release);
  return Promise.all(
    files.map(async (file) => {
      const path = join(release, file);
      const mode = (await stat(path)).mode & 0o777;
      return `${file} ${mode.toString(8)} ${await readFile(path, "utf8")}`;
    }),
  );
}

test("a single executable has the same name in every version", async () => {
  expect(await stage("v1.2.3", "app_1.2.3_linux_amd64", SCRIPT)).toEqual([`app 755 ${SCRIPT}`]);
  expect(await stage("v2.0.0-rc.1", "app-linux-amd64-v2.0.0-rc.1", SCRIPT)).toEqual([
    `app 755 ${SCRIPT}`,
  ]);
});

test("a file keeps the name given by artifact=", async () => {
  expect(await stage("v1.2.3", "app_linux_amd64", SCRIPT, true)).toEqual([
    `app_linux_amd64 755 ${SCRIPT}`,
  ]);
});

test("a file that does not begin like a program is not made executable", async () => {
  expect(await stage("v1.2.3", "app_1.2.3_linux_amd64", "<html>")).toEqual(["app 644 <html>"]);
  expect(await stage("v1.2.3", "app-1.2.3.jar", "PK")).toEqual(["app.jar 644 PK"]);
});

test("a release that cannot be recorded is not left behind", async () => {
  const directory = await openReleaseDirectory(await tempDirectory());
  const run = stageRelease({
    registry: {
      ...testRegistry(),
      open: async () => new Blob([SCRIPT]).stream() as ReadableStream<Uint8Array>,
    },
    directory,
    downloads: () => cacheDirectory(directory.root, undefined),
    maxArtifactBytes: 1000,
    maxExpandedBytes: 1000,
    clock: systemClock,
    emit: () => {},
  });
  const { signal } = new AbortController();
  const full = run(candidate("v1.0.0", { name: "app" }), signal, async () => {
    throw new Error("the disk is full");
  });
  await expect(full).rejects.toThrow("the disk is full");
  expect(await readdir(join(directory.root, "releases"))).toEqual([]);
});

const PROOFS: readonly Proof[] = [{ kind: "ssh", evidence: "app.sig", signer: "SHA256:key" }];

test("the gate sees the downloaded bytes, and the files beside them, before anything is unpacked", async () => {
  let seen: unknown;
  const release = await gated(async (subject) => {
    const { tag, name, sha256, size, files } = subject;
    const unpacked = await readdir(join(release.directory.root, "releases")).catch(() => []);
    const [, signature] = files;
    const read = signature && new TextDecoder().decode(await subject.read(signature, 100));
    const content = await new Response(subject.open?.()).text();
    seen = { tag, name, sha256, size, read, content, unpacked };
    return PROOFS;
  });
  const { proofs, digest } = await release.stage();
  expect(seen).toEqual({
    tag: "v1.0.0",
    name: "app",
    sha256: sha256Hex(SCRIPT),
    size: SCRIPT.length,
    read: "signature",
    content: SCRIPT,
    unpacked: [],
  });
  expect({ proofs, digest }).toEqual({ proofs: PROOFS, digest: `sha256:${sha256Hex(SCRIPT)}` });
  expect(release.records).toMatchObject([{ proofs: PROOFS }]);
  expect(eventsOf(release.events, "verified")).toEqual([
    { type: "verified", tag: "v1.0.0", artifact: "app", proofs: PROOFS },
  ]);
});

test("nothing is unpacked if the gate stays closed, and a retry downloads nothing again", async () => {
  let isOpen = false;
  const release = await gated(async () => {
    if (isOpen) return PROOFS;
    throw new VerificationError("it has no signature");
  });
  await expect(release.stage()).rejects.toThrow("it has no signature");
  expect(await readdir(release.directory.root)).toEqual([".dewy"]);
  expect(release.records).toEqual([]);
  isOpen = true;
  await release.stage();
  expect(release.downloads()).toBe(1);
});

test("bytes that were changed after the verification are not unpacked", async () => {
  const release = await gated(async () => {
    const cache = join(release.directory.root, ".dewy", "cache");
    await writeFile(join(cache, "app.dewy"), "#!/bin/sh\necho other\n");
    return PROOFS;
  });
  await expect(release.stage()).rejects.toThrow("was changed after it was verified");
  expect(release.records).toEqual([]);
  expect(await release.directory.names()).toEqual([]);
});

test("a large signature is not read", async () => {
  let error: unknown;
  const release = await gated(async ({ files, read }: Subject) => {
    const [, signature] = files;
    error = await (signature && read(signature, 5).catch((thrown: unknown) => thrown));
    return [];
  });
  await release.stage();
  expect(error).toMatchObject({ message: expect.stringContaining("more than 5") });
});
