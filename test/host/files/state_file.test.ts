import { execFileSync } from "node:child_process";
import { readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { DewyEvent } from "../../../src/core/event.ts";
import { type DeployState, EMPTY_STATE } from "../../../src/deploy/state.ts";
import { stateFile } from "../../../src/host/files/state_file.ts";
import { tempDirectory } from "../../support/temp_directory.ts";

const state: DeployState = {
  format: 1,
  releases: [
    {
      id: "1",
      tag: "v1.0.0",
      artifact: "app.tar.gz",
      digest: "sha256:00",
      directory: "20260101T000000Z",
      stagedAt: "2026-01-01T00:00:00.000Z",
    },
  ],
  previous: "20251231T000000Z",
  switching: { to: "20260101T000000Z" },
  afterHook: { directory: "20260101T000000Z", previousTag: "v0.9.0" },
  bad: [{ tag: "v0.9.0", reason: "it crashed", at: "2026-01-01T00:00:00.000Z" }],
  known: [
    { tag: "v0.9.0", artifact: "app.tar.gz", revision: "7" },
    { tag: "v1.0.0", artifact: "app.tar.gz", digest: "sha256:00", accepted: true },
  ],
};

async function open(): Promise<{
  directory: string;
  events: DewyEvent[];
  store: ReturnType<typeof stateFile>;
}> {
  const directory = await tempDirectory();
  const events: DewyEvent[] = [];
  const store = stateFile(join(directory, ".dewy", "state.json"), (event) => events.push(event));
  return { directory, events, store };
}

describe("stateFile", () => {
  it("starts empty", async () => {
    expect(await (await open()).store.load()).toEqual(EMPTY_STATE);
  });

  it("returns the saved state and leaves no temporary file", async () => {
    const { directory, store } = await open();
    await store.update(() => state);
    expect(await store.load()).toEqual(state);
    expect(await readdir(join(directory, ".dewy"))).toEqual(["state.json"]);
  });

  it("loses no concurrent change", async () => {
    const { store } = await open();
    const tags = Array.from({ length: 20 }, (_, minor) => `v1.${minor}.0`);
    const add = (tag: string) => (before: DeployState) => ({
      ...before,
      bad: [...before.bad, { tag, reason: "it crashed", at: "2026-01-01T00:00:00.000Z" }],
    });
    await Promise.all(tags.map((tag) => store.update(add(tag))));
    expect((await store.load()).bad.map(({ tag }) => tag)).toEqual(tags);
  });

  it("continues after a failed change", async () => {
    const { store } = await open();
    const failing = store.update(() => {
      throw new Error("no");
    });
    const following = store.update(() => state);
    await expect(failing).rejects.toThrow("no");
    expect(await following).toEqual(state);
  });

  it("reads a file of a version that did not record the bytes of every tag", async () => {
    const { directory, store } = await open();
    const { known: _, ...before } = state;
    await store.update(() => EMPTY_STATE);
    await writeFile(join(directory, ".dewy", "state.json"), JSON.stringify(before));
    expect(await store.load()).toEqual({ ...state, known: [] });
  });

  it("sets a FIFO aside without waiting for a writer", async () => {
    const { directory, events, store } = await open();
    await store.update(() => EMPTY_STATE);
    const path = join(directory, ".dewy", "state.json");
    await rm(path);
    execFileSync("mkfifo", [path]);
    expect(await store.load()).toEqual(EMPTY_STATE);
    expect(events).toMatchObject([{ type: "warning", important: true }]);
  });

  it("sets a symbolic link aside without reading or changing its target", async () => {
    const { directory, events, store } = await open();
    await store.update(() => EMPTY_STATE);
    const path = join(directory, ".dewy", "state.json");
    const target = join(directory, "elsewhere.json");
    await writeFile(target, JSON.stringify(state));
    await rm(path);
    await symlink(target, path);
    expect(await store.load()).toEqual(EMPTY_STATE);
    expect(events).toMatchObject([{ type: "warning", important: true }]);
    await store.update(() => EMPTY_STATE);
    expect(await readFile(target, "utf8")).toBe(JSON.stringify(state));
  });

  it.each([
    ["half a file", '{"format":1,"rele'],
    ["another format", '{"format":2,"releases":[],"bad":[]}'],
    [
      "a directory name that leaves the directory",
      JSON.stringify({ ...state, previous: "../../etc" }),
    ],
  ])("sets %s aside with a warning", async (_, text) => {
    const { directory, events, store } = await open();
    await store.update(() => EMPTY_STATE);
    await writeFile(join(directory, ".dewy", "state.json"), text);
    expect(await store.load()).toEqual(EMPTY_STATE);
    expect(events).toMatchObject([{ type: "warning", important: true }]);
    expect(await readdir(join(directory, ".dewy"))).toEqual(["state.json.broken"]);
  });
});
