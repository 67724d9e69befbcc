import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rename, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { DewyEvent } from "../../../src/core/event.ts";
import type { Artifact, Registry, Resolution } from "../../../src/core/types.ts";
import { encodePath } from "../../../src/core/url.ts";
import { hostRegistries } from "../../../src/host/registries.ts";
import { explainRegistry, openArtifact, openRegistry } from "../../../src/registries/open.ts";
import { tempDirectory } from "../../support/temp_directory.ts";

const ARTIFACT = "app_linux_amd64.tar.gz";
const HEX = createHash("sha256").update("bytes").digest("hex");

interface World {
  dir: string;
  registry: Registry;
  events: DewyEvent[];
  write(path: string, body?: string): Promise<string>;
}

async function world(): Promise<World> {
  const dir = await tempDirectory();
  const events: DewyEvent[] = [];
  return {
    dir,
    events,
    registry: openDirectory(dir, events),
    async write(path, body = "bytes") {
      const full = join(dir, path);
      await mkdir(join(full, ".."), { recursive: true });
      await writeFile(full, body);
      return full;
    },
  };
}

function openDirectory(dir: string, events: DewyEvent[] = []): Registry {
  return openRegistry(`file://${encodePath(dir, true)}`, {
    registries: hostRegistries,
    env: {},
    platform: { os: "linux", arch: "amd64" },
    emit: (event) => void events.push(event),
  });
}

function openWithEvents(dir: string): { registry: Registry; events: DewyEvent[] } {
  const events: DewyEvent[] = [];
  return { registry: openDirectory(dir, events), events };
}

function artifactOf(resolution: Resolution): Artifact {
  if (resolution.kind !== "ready") throw new Error(JSON.stringify(resolution));
  return resolution.artifact;
}

describe("file://", () => {
  it("names the directory that is not there, and does not call it empty", async () => {
    const dir = join(await tempDirectory(), "not-mounted");
    const missing = { code: "not-found", message: expect.stringContaining(dir) };
    await expect(openDirectory(dir).resolve()).rejects.toMatchObject(missing);
    await expect(openDirectory(dir).exists?.("v1.0.0")).rejects.toMatchObject(missing);
  });

  it("says that a file is not a directory of releases", async () => {
    const { write } = await world();
    const path = await write("a-file");
    await expect(openDirectory(path).resolve()).rejects.toMatchObject({
      code: "not-found",
      message: expect.stringContaining("not a directory"),
    });
  });

  it("follows links to version directories and to artifacts", async () => {
    const { dir, registry, write } = await world();
    const outside = await tempDirectory();
    await writeFile(join(outside, ARTIFACT), "linked");
    await symlink(outside, join(dir, "v1.0.0"));
    expect(artifactOf(await registry.resolve()).size).toBe(6);
    await write("v1.1.0/notes.txt");
    await symlink(join(outside, ARTIFACT), join(dir, "v1.1.0", ARTIFACT));
    const artifact = artifactOf(await registry.resolve());
    expect(artifact.url).toBe(`file://${dir}/v1.1.0/${ARTIFACT}`);
    expect(await new Response(await registry.open(artifact)).text()).toBe("linked");
  });

  it("passes over files, dead links, hidden and unfinished entries", async () => {
    const { dir, registry, write } = await world();
    await write(`v1.0.0/${ARTIFACT}`);
    await write(`.v9.0.0/${ARTIFACT}`);
    await write(`v9.0.0.tmp/${ARTIFACT}`);
    await write("v9.0.0");
    await symlink("nowhere", join(dir, "v9.0.1"));
    await symlink("v9.0.2", join(dir, "v9.0.2"));
    for (const name of [
      `.${ARTIFACT}.Xy12`,
      `${ARTIFACT}.part`,
      `${ARTIFACT}.tmp`,
      `${ARTIFACT}~`,
    ]) {
      await write(`v1.0.0/${name}`);
    }
    const why = await explainRegistry(registry);
    expect(why.tags.map(({ tag }) => tag)).toEqual(["v1.0.0"]);
    expect(why.artifacts.map(({ name }) => name)).toEqual([ARTIFACT]);
  });

  it("takes no directory and no named pipe for an artifact", async () => {
    const { dir, registry } = await world();
    await mkdir(join(dir, "v1.0.0", ARTIFACT), { recursive: true });
    execFileSync("mkfifo", [join(dir, "v1.0.0", "pipe_linux_amd64.tar.gz")]);
    expect(await registry.resolve()).toMatchObject({ kind: "pending" });
    await expect(
      openArtifact(`file://${dir}/v1.0.0/pipe_linux_amd64.tar.gz`, {
        registries: hostRegistries,
        env: {},
      }),
    ).rejects.toMatchObject({ code: "host" });
  });

  it("waits while a directory is being filled", async () => {
    const { dir, registry, write } = await world();
    await mkdir(join(dir, "v1.0.0"));
    expect(await registry.resolve()).toMatchObject({ kind: "pending", tag: "v1.0.0" });
    await write(`v1.0.0/${ARTIFACT}.part`);
    expect(await registry.resolve()).toMatchObject({ kind: "pending", tag: "v1.0.0" });
    await rename(join(dir, "v1.0.0", `${ARTIFACT}.part`), join(dir, "v1.0.0", ARTIFACT));
    expect(await registry.resolve()).toMatchObject({ kind: "ready" });
  });

  it.each([
    [`${ARTIFACT}.sha256`, `${HEX}  ${ARTIFACT}\n`],
    [`${ARTIFACT}.sha256`, HEX.toUpperCase()],
    ["checksums.txt", `${"0".repeat(64)}  other\r\n${HEX} *${ARTIFACT}\r\n`],
    ["SHA256SUMS", `${HEX}  ./${ARTIFACT}\n`],
    ["SHA256SUMS", `SHA256 (${ARTIFACT}) = ${HEX}\n`],
  ])("states the digest that %s has for the artifact", async (name, text) => {
    const { registry, write } = await world();
    await write(`v1.0.0/${ARTIFACT}`);
    await write(`v1.0.0/${name}`, text);
    const { resolution } = await explainRegistry(registry);
    expect(artifactOf(resolution).digest).toBe(`sha256:${HEX}`);
    expect(artifactOf(await registry.resolve()).digest).toBe(`sha256:${HEX}`);
  });

  it("states no digest where a checksum file speaks of others", async () => {
    const { registry, write } = await world();
    await write(`v1.0.0/${ARTIFACT}`);
    await write("v1.0.0/checksums.txt", `${HEX}  x${ARTIFACT}\n`);
    expect(artifactOf(await registry.resolve()).digest).toBeUndefined();
  });

  it("streams files larger than its buffer, and closes them when it is stopped", async () => {
    const { registry, write } = await world();
    await write(`v1.0.0/${ARTIFACT}`, "0123456789".repeat(100_000));
    const artifact = artifactOf(await registry.resolve());
    const rest = await new Response(await registry.open(artifact, { offset: 999_995 })).text();
    expect(rest).toBe("56789");
    const abort = new AbortController();
    const reader = (await registry.open(artifact, { signal: abort.signal })).getReader();
    const { value } = await reader.read();
    expect(value?.byteLength).toBeLessThan(1_000_000);
    abort.abort();
    await expect(reader.read()).rejects.toMatchObject({ code: "aborted" });
  });

  it("leaves its record beside the artifacts, and none of a failure", async () => {
    const { dir, registry, write } = await world();
    await write(`v1.0.0/${ARTIFACT}`);
    const deployed = {
      id: "v1.0.0",
      tag: "v1.0.0",
      command: "assets",
      host: "Web-1",
      at: new Date(0),
    };
    await registry.report?.({ ...deployed, error: "it did not work" });
    await registry.report?.(deployed);
    const record = "shipped_to_web-1_assets_at_19700101T000000.000000000Z.txt";
    expect((await readdir(join(dir, "v1.0.0"))).sort()).toEqual([ARTIFACT, record]);
  });

  it("never writes over a record, and leaves one for each host and process", async () => {
    const { dir, registry, write } = await world();
    await write(`v1.0.0/${ARTIFACT}`);
    const record = "shipped_to_web-1_assets_at_19700101T000000.000000000Z.txt";
    await writeFile(join(dir, "v1.0.0", record), "first");
    const deployed = { id: "v1.0.0", tag: "v1.0.0", command: "assets", at: new Date(0) };
    const others = [
      { host: "web-1" },
      { host: "web-2" },
      { host: "web-1", nanoseconds: 7 },
      { host: "web-1", nanoseconds: 999_999 },
    ];
    await Promise.all(others.map((one) => registry.report?.({ ...deployed, ...one })));
    expect(await readdir(join(dir, "v1.0.0"))).toHaveLength(1 + others.length);
    expect(await readFile(join(dir, "v1.0.0", record), "utf8")).toBe("first");
  });

  it.skipIf(!existsSync("/sys/kernel"))("refuses a record in a read-only directory", async () => {
    // Not even root can create a file there.
    const { registry } = openWithEvents("/sys");
    const deployed = { id: "kernel", tag: "kernel", command: "assets", host: "h", at: new Date(0) };
    await expect(registry.report?.(deployed)).rejects.toMatchObject({
      code: "host",
      fault: "operator",
      retryable: false,
      message: expect.stringMatching(/\/sys\/kernel\/.*takes write permission on the directory/),
    });
  });

  it("leaves no record of a release that is gone", async () => {
    const { registry } = await world();
    const deployed = { id: "v1.0.0", tag: "v1.0.0", command: "assets", host: "h", at: new Date(0) };
    await expect(registry.report?.(deployed)).rejects.toMatchObject({
      code: "not-found",
      retryable: false,
    });
  });

  it.each(["..", ".", "", "a/b", "a\0b"])(
    "says that there is no release %j without looking outside",
    async (tag) => {
      const { registry } = await world();
      expect(await registry.exists?.(tag)).toBe(false);
    },
  );

  it("notices by its time that a file was replaced by one of the same size", async () => {
    const { registry, write } = await world();
    const path = await write(`v1.0.0/${ARTIFACT}`);
    const before = artifactOf(await registry.resolve());
    await utimes(path, 1, 1);
    expect(artifactOf(await registry.resolve()).revision).not.toBe(before.revision);
  });
});

describe("the digest of a file:// artifact", () => {
  it("is that of its bytes, whenever they were written", async () => {
    const { registry, write } = await world();
    const path = await write(`v1.0.0/${ARTIFACT}`);
    const digest = async (): Promise<string | undefined> =>
      registry.digest?.(artifactOf(await registry.resolve()));
    expect(await digest()).toBe(`sha256:${HEX}`);
    await utimes(path, 1_000_000, 1_000_000);
    expect(await digest()).toBe(`sha256:${HEX}`);
    await write(`v1.0.0/${ARTIFACT}`, "other");
    expect(await digest()).not.toBe(`sha256:${HEX}`);
  });

  it("is refused for a file that was replaced since it was listed", async () => {
    const { registry, write } = await world();
    await write(`v1.0.0/${ARTIFACT}`);
    const listed = artifactOf(await registry.resolve());
    await write(`v1.0.0/${ARTIFACT}`, "others");
    await expect(registry.digest?.(listed)).rejects.toMatchObject({ code: "integrity" });
  });

  it("is computed once a revision", async () => {
    const { registry, write } = await world();
    const path = await write(`v1.0.0/${ARTIFACT}`);
    const listed = artifactOf(await registry.resolve());
    await registry.digest?.(listed);
    await rm(path);
    expect(await registry.digest?.(listed)).toBe(`sha256:${HEX}`);
  });
});
