import { link, mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { run } from "../../../src/cli/run.ts";
import { type DeployState, EMPTY_STATE } from "../../../src/deploy/state.ts";
import { statePath } from "../../../src/host/files/own_paths.ts";
import { stateFile } from "../../../src/host/files/state_file.ts";
import { tempDirectory } from "../../support/temp_directory.ts";
import { fakeProcess } from "../process.ts";

const NAMES = {
  "v1.0.0": "20260101T000000Z",
  "v1.1.0": "20260102T000000Z",
  "v1.2.0": "20260103T000000Z",
  "v1.3.0": "20260104T000000Z",
} as const;

function release(tag: keyof typeof NAMES, more: { provenAt?: string } = {}) {
  return {
    id: tag,
    tag,
    artifact: "app.tar.gz",
    digest: `sha256:${tag}`,
    directory: NAMES[tag],
    stagedAt: "2026-01-02T03:04:05.000Z",
    ...more,
  };
}

const provenAt = "2026-01-02T03:05:00.000Z";

const STATE: DeployState = {
  ...EMPTY_STATE,
  releases: [
    release("v1.0.0", { provenAt }),
    release("v1.1.0", { provenAt }),
    release("v1.2.0", { provenAt }),
    release("v1.3.0"),
  ],
  bad: [
    {
      tag: "v1.3.0",
      digest: "sha256:v1.3.0",
      reason: "Cannot deploy v1.3.0: it crashed",
      at: provenAt,
    },
  ],
  skipped: [{ tag: "v1.0.0", user: "alice", message: "leaks", at: provenAt }],
};

/** A working directory with releases, of which one is live. */
async function directoryWith(
  state: DeployState,
  live: keyof typeof NAMES | undefined,
): Promise<string> {
  const root = await tempDirectory();
  await stateFile(statePath(root), () => {}).update(() => state);
  for (const { directory } of state.releases) {
    await mkdir(join(root, "releases", directory), { recursive: true });
    await writeFile(join(root, "releases", directory, "app"), "x".repeat(5000));
  }
  if (live !== undefined) await symlink(join("releases", NAMES[live]), join(root, "current"));
  return root;
}

async function releases(
  root: string,
  ...flags: readonly string[]
): Promise<{ code: number; out: string; err: string }> {
  const io = fakeProcess({ env: { DEWY_RUNTIME_DIR: join(root, "run") } });
  const code = await run(["releases", "--directory", root, ...flags], io);
  return { code, out: io.out(), err: io.err() };
}

async function listed(root: string): Promise<Record<string, unknown>[]> {
  return JSON.parse((await releases(root, "--json")).out).releases;
}

/** The last column, by version. */
async function statesIn(root: string): Promise<Record<string, string>> {
  const [, ...lines] = (await releases(root)).out.trimEnd().split("\n");
  return Object.fromEntries(
    lines.map((line) => {
      const [version = "", , , states = ""] = line.split(/ {2,}/);
      return [version, states];
    }),
  );
}

describe("dewy releases", () => {
  it("lists what is on disk, newest first, and what becomes of it", async () => {
    const root = await directoryWith(STATE, "v1.2.0");
    await mkdir(join(root, "releases", "20260105T000000Z"));
    await mkdir(join(root, "releases", "not-a-release"));
    expect(Object.entries(await statesIn(root))).toEqual([
      ["(20260105T000000Z)", "unknown: no record"],
      ["v1.3.0", "bad: it crashed"],
      ["v1.2.0", "current"],
      ["v1.1.0", "rollback target"],
      ["v1.0.0", 'skipped by alice: "leaks"'],
    ]);
  });

  it("shows a version that bakes, a pin, and releases that are merely kept", async () => {
    const baking: DeployState = {
      ...STATE,
      bad: [],
      skipped: [],
      switching: { to: NAMES["v1.3.0"], from: NAMES["v1.2.0"] },
      pinned: { tag: "v1.3.0", user: "bob", at: provenAt },
    };
    expect(await statesIn(await directoryWith(baking, "v1.3.0"))).toEqual({
      "v1.3.0": "current, baking, pinned",
      "v1.2.0": "rollback target",
      "v1.1.0": "kept",
      "v1.0.0": "kept",
    });
  });

  it("names the version up to which an operator's rollback skips", async () => {
    const left: DeployState = {
      ...STATE,
      bad: [],
      skipped: [{ tag: "v1.3.0", andEarlier: true, user: "alice", at: provenAt }],
    };
    expect(await statesIn(await directoryWith(left, "v1.2.0"))).toMatchObject({
      "v1.3.0": "skipped by alice",
      "v1.1.0": "rollback target, skipped as all up to v1.3.0, by alice",
    });
  });

  it("prints identity, times and size with --json", async () => {
    const root = await directoryWith(STATE, "v1.2.0");
    const app = join(root, "releases", NAMES["v1.2.0"], "app");
    await link(app, `${app}-again`);
    await symlink("/", `${app}-root`);
    const { code, out } = await releases(root, "--json");
    expect(code).toBe(0);
    const answer = JSON.parse(out);
    expect(answer).toMatchObject({ kind: "releases", directory: root });
    expect(answer.releases[1]).toEqual({
      tag: "v1.2.0",
      directory: NAMES["v1.2.0"],
      artifact: "app.tar.gz",
      digest: "sha256:v1.2.0",
      revision: null,
      stagedAt: "2026-01-02T03:04:05.000Z",
      provenAt,
      bytes: expect.any(Number),
      isCurrent: true,
      isBaking: false,
      isRollbackTarget: false,
      isPinned: false,
      bad: null,
      skipped: null,
    });
    const { bytes } = answer.releases[1];
    expect(bytes).toBeGreaterThanOrEqual(5000);
    // The second name of the file and the target of the link do not count.
    expect(bytes).toBeLessThan(40_000);
  });

  it("has no size for an image, which the engine keeps", async () => {
    const root = await directoryWith({ ...EMPTY_STATE, releases: [] }, undefined);
    await mkdir(join(root, "releases", NAMES["v1.0.0"]), { recursive: true });
    await writeFile(join(root, "releases", NAMES["v1.0.0"], "image.json"), "{}");
    expect(await listed(root)).toMatchObject([{ tag: null, bytes: null }]);
  });

  it("has a state without a live version, and a directory without releases", async () => {
    expect(await statesIn(await directoryWith(STATE, undefined))).toMatchObject({
      "v1.2.0": "kept",
    });
    expect(await releases(await directoryWith(EMPTY_STATE, undefined))).toEqual({
      code: 0,
      out: "No release is on this machine.\n",
      err: "",
    });
  });

  it("only looks: a broken state stays where it is", async () => {
    const root = await directoryWith(STATE, "v1.2.0");
    await writeFile(statePath(root), "{");
    expect((await listed(root)).map(({ tag }) => tag)).toEqual([null, null, null, null]);
    expect((await statesIn(root))["(20260103T000000Z)"]).toBe("current, unknown: no record");
    expect(await readFile(statePath(root), "utf8")).toBe("{");
  });
});
