import { describe, expect, test } from "vitest";
import { NotFoundError, RemoteError } from "../../../src/core/error.ts";
import type { Resolution } from "../../../src/core/types.ts";
import { explainRegistry, openArtifact } from "../../../src/registries/open.ts";
import { cutAfter, reset, status, tamper } from "../../fakes/github_fault.ts";
import { APP, ghrWorld, readyTag } from "./world.ts";

const ASSET = "app_linux_amd64.tar.gz";

describe("versions", () => {
  test("a draft is never chosen, also with a token that sees it", async () => {
    const { github, registry } = ghrWorld({ env: { GH_TOKEN: "ghp_writer" } });
    github.publish("v1.0.0", APP);
    github.publish("v2.0.0", APP, { draft: true });
    expect(await readyTag(registry)).toBe("v1.0.0");
    const draft = (await explainRegistry(registry)).tags.find(({ tag }) => tag === "v2.0.0");
    expect(draft?.reason).toContain("draft");
  });

  test("a release flagged as pre-release counts as one, whatever its tag", async () => {
    const { github, registry, reopen } = ghrWorld();
    github.publish("v1.0.0", APP);
    github.publish("v1.1.0", APP, { preRelease: true });
    expect(await readyTag(registry)).toBe("v1.0.0");
    expect(await readyTag(reopen({ preRelease: true }))).toBe("v1.1.0");
  });

  test("all pages are read", async () => {
    const { github, registry } = ghrWorld();
    github.publish("v9.0.0", APP);
    for (let minor = 0; minor < 230; minor += 1) github.publish(`v1.${minor}.0`, APP);
    expect(await readyTag(registry)).toBe("v9.0.0");
    github.verify();
  });

  test("a tag without a release is explained, and not chosen", async () => {
    const { github, registry } = ghrWorld();
    github.publish("v1.0.0", APP);
    github.pushTag("v1.1.0");
    expect(await readyTag(registry)).toBe("v1.0.0");
    const why = (await explainRegistry(registry)).tags.find(({ tag }) => tag === "v1.1.0");
    expect(why?.reason).toContain("without a release");
  });

  test("a repository without Git refs is still listed", async () => {
    const { github, registry } = ghrWorld();
    github.publish("v1.0.0", APP);
    github.inject(/matching-refs/, status(409), 2);
    expect(await readyTag(registry)).toBe("v1.0.0");
    github.publish("v1.1.0", APP);
    expect(await readyTag(registry)).toBe("v1.1.0");
    github.verify();
  });

  test("one that cannot be seen is an error with a hint", async () => {
    const { github, registry } = ghrWorld({ env: {} });
    github.visible = false;
    const error = await registry.resolve().catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(NotFoundError);
    expect(String(error)).toContain("GH_TOKEN");
  });
});

describe("artifacts", () => {
  test("have size, digest, revision and an address that opens them", async () => {
    const { github, registry, options } = ghrWorld();
    github.publish("v1.0.0+blue", [{ name: ASSET, bytes: "0123456789" }]);
    const answer = (await registry.resolve()) as Extract<Resolution, { kind: "ready" }>;
    expect(answer.release).toMatchObject({ tag: "v1.0.0+blue", slot: "blue" });
    expect(answer.artifact).toMatchObject({
      name: ASSET,
      size: 10,
      url: `ghr://acme/app/tag/v1.0.0+blue/${ASSET}`,
      digest: "sha256:84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882",
    });
    const bytes = await openArtifact(answer.artifact.url, { ...options, offset: 4 });
    expect(await new Response(bytes).text()).toBe("456789");
    github.verify();
  });

  test("without a digest, or with one of another kind, state none", async () => {
    const { github, registry } = ghrWorld();
    for (const digest of [null, "md5:abc", "sha256:short"]) {
      github.publish(`v1.0.${github.calls.length}`, [{ name: ASSET, digest }]);
      const answer = (await registry.resolve()) as Extract<Resolution, { kind: "ready" }>;
      expect(answer.artifact.digest).toBeUndefined();
    }
  });

  test("that are still being uploaded are not there yet", async () => {
    const { github, registry } = ghrWorld();
    github.publish("v1.0.0", [{ name: ASSET, state: "open" }]);
    expect(await registry.resolve()).toMatchObject({ kind: "pending", tag: "v1.0.0" });
    github.addAsset("v1.0.0", { name: ASSET });
    expect(await readyTag(registry)).toBe("v1.0.0");
  });

  test("are waited for while only a guess could be made", async () => {
    const { github, registry } = ghrWorld();
    github.publish("v1.0.0", [{ name: "docs.zip" }, { name: ASSET, state: "open" }]);
    expect(await registry.resolve()).toMatchObject({ kind: "pending", tag: "v1.0.0" });
  });

  test("are emulated only if the options say so", async () => {
    const { github, reopen } = ghrWorld();
    github.publish("v1.0.0", [{ name: "app_darwin_amd64.zip" }, { name: "checksums.txt" }]);
    const kind = async (emulation: boolean): Promise<string> => {
      const platform = { os: "darwin", arch: "arm64" };
      return (await reopen({ emulation, platform }).resolve()).kind;
    };
    expect(await kind(false)).toBe("pending");
    expect(await kind(true)).toBe("ready");
  });

  test("of several programs are the one named after the repository", async () => {
    const { github, registry } = ghrWorld();
    const names = ["aide_linux_amd64.zip", "app_linux_amd64.zip", "app-gui_linux_amd64.zip"];
    github.publish(
      "v1.0.0",
      names.map((name) => ({ name })),
    );
    expect(await registry.resolve()).toMatchObject({ artifact: { name: names[1] } });
  });

  test("are named by GITHUB_ARTIFACT, unless the URL names one", async () => {
    const { github, reopen } = ghrWorld({ env: { GITHUB_ARTIFACT: "one" } });
    github.publish("v1.0.0", [{ name: "one" }, { name: "two" }, { name: ASSET }]);
    const name = async (artifact?: string): Promise<string> => {
      const answer = await reopen(artifact === undefined ? {} : { artifact }).resolve();
      return answer.kind === "ready" ? answer.artifact.name : answer.kind;
    };
    expect(await name()).toBe("one");
    expect(await name("two")).toBe("two");
  });

  test("that are not there are named in the error", async () => {
    const { github, options } = ghrWorld();
    github.publish("v1.0.0", APP);
    await expect(openArtifact("ghr://acme/app/tag/v1.0.0/x", options)).rejects.toThrow(
      "no file x in the release v1.0.0",
    );
    await expect(openArtifact("ghr://acme/app/tag/v2/x", options)).rejects.toThrow("no release v2");
  });
});

describe("downloads", () => {
  async function download(offset = 0, spoil?: Parameters<typeof setUp>[0]): Promise<string> {
    const { registry, artifact } = await setUp(spoil);
    return new Response(await registry.open(artifact, { offset })).text();
  }
  async function setUp(spoil?: { on: RegExp; fault: ReturnType<typeof reset>; times?: number }) {
    const world = ghrWorld();
    world.github.publish("v1.0.0", [{ name: ASSET, bytes: "0123456789" }]);
    const answer = await world.registry.resolve();
    if (answer.kind !== "ready") throw new Error(answer.kind);
    if (spoil !== undefined) world.github.inject(spoil.on, spoil.fault, spoil.times);
    return { ...world, artifact: answer.artifact };
  }
  const STORAGE = /GET \/storage/;

  test("send none of dewy's headers to the storage", async () => {
    const { registry, artifact, github } = await setUp();
    await new Response(await registry.open(artifact, { offset: 1 })).text();
    expect(github.calls.at(-1)).toMatchObject({ status: 206 });
    github.verify();
  });

  test.each([
    ["503", status(503)],
    ["429", status(429, { "retry-after": "3" })],
    ["a reset", reset()],
  ])("go on after %s", async (_, fault) => {
    expect(await download(4, { on: STORAGE, fault, times: 2 })).toBe("456789");
    expect(await download(4, { on: /GET .*assets/, fault, times: 2 })).toBe("456789");
  });

  test("refused by the storage do not count as a problem of credentials or limits", async () => {
    const { registry, artifact, github } = await setUp();
    for (const code of [403, 429]) {
      github.inject(STORAGE, status(code, { "retry-after": "99" }));
      const error = await registry.open(artifact).catch((reason: unknown) => reason);
      expect(String(error)).toContain(`HTTP ${code}`);
      expect(String(error)).not.toContain("GH_TOKEN");
      expect(await readyTag(registry)).toBe("v1.0.0");
    }
    github.verify();
  });

  test("that are cut short are an error", async () => {
    const error = await download(0, { on: STORAGE, fault: cutAfter(3) }).catch((reason) => reason);
    expect(error).toBeInstanceOf(RemoteError);
    expect(error).toMatchObject({ retryable: true });
    expect(String(error)).not.toContain("s3cretsignature");
  });

  test("are passed on as they come: digests are checked by who stores them", async () => {
    expect(await download(0, { on: STORAGE, fault: tamper() })).not.toBe("0123456789");
  });
});

describe("exists", () => {
  test("is false only for who can still read the repository and its releases", async () => {
    const { github, registry } = ghrWorld();
    github.publish("v1.0.0", APP);
    github.publish("v2.0.0", APP, { draft: true });
    expect(await registry.exists?.("v1.0.0")).toBe(true);
    expect(await registry.exists?.("v2.0.0")).toBe(false);
    github.deleteRelease("v1.0.0");
    expect(await registry.exists?.("v1.0.0")).toBe(false);
    github.inject(/releases\?per_page=1/, status(403));
    await expect(registry.exists?.("v1.0.0")).rejects.toMatchObject({ code: "credential" });
    github.visible = false;
    await expect(registry.exists?.("v1.0.0")).rejects.toMatchObject({ code: "not-found" });
    github.verify();
  });
});

test("a draft that GitHub gives out by its tag is still a draft", async () => {
  const { github, registry } = ghrWorld();
  github.publish("v1.0.0", APP);
  github.inject(/releases\/tags/, async (answer) => {
    const release = await (await answer()).json();
    return Response.json({ ...release, draft: true });
  });
  expect(await registry.exists?.("v1.0.0")).toBe(false);
  github.verify();
});

describe("report", () => {
  const at = new Date(Date.UTC(2026, 6, 8, 9, 10, 11, 12));
  const NAME = "shipped_to_web-1.example.com_assets_at_20260708T091011.012000000Z.txt";
  const deployment = (id: number) => ({
    id: String(id),
    tag: "v1.0.0",
    command: "assets",
    host: "Web-1.Example.com",
    at,
  });

  test("leaves an asset with name, type and text", async () => {
    for (const listed of [true, false]) {
      const { github, registry } = ghrWorld({ env: { GH_TOKEN: "ghp_writer" } });
      const { id } = github.publish("v1.0.0", APP);
      if (listed) await registry.resolve();
      await registry.report?.(deployment(id));
      await registry.report?.(deployment(id)); // A second time, as after a lost answer.
      const [, record, ...more] = github.release("v1.0.0").assets;
      expect(more).toEqual([]);
      expect(record).toMatchObject({ name: NAME, contentType: "text/plain" });
      expect(new TextDecoder().decode(record?.bytes)).toBe(
        "shipped to web-1.example.com assets at 20260708T091011.012000000Z",
      );
      github.verify();
    }
  });

  test("is not offered as an artifact, even when it looks like one", async () => {
    const { github, registry } = ghrWorld();
    github.publish("v1.0.0", [{ name: "shipped_to_linux_amd64_assets_at_x.txt" }, ...APP]);
    const { artifacts } = await explainRegistry(registry);
    expect(artifacts.map(({ name }) => name)).toEqual([ASSET]);
  });

  test("without a token is refused with the permission that it takes, and nothing is sent", async () => {
    const { github, registry } = ghrWorld({ env: {} });
    const { id } = github.publish("v1.0.0", APP);
    await expect(registry.report?.(deployment(id))).rejects.toMatchObject({
      code: "credential",
      retryable: false,
      message: expect.stringMatching(/GH_TOKEN.*"Contents: write"/),
    });
    expect(github.calls).toEqual([]);
  });

  test("of many hosts in the same instant leaves a record for each", async () => {
    const { github, registry } = ghrWorld({ env: { GH_TOKEN: "ghp_writer" } });
    const { id } = github.publish("v1.0.0", APP);
    const hosts = ["web-1", "web-2", "web-3"].map((host) => ({ host }));
    const processes = [1, 2, 999_999].map((nanoseconds) => ({ nanoseconds }));
    await Promise.all(
      [...hosts, ...processes].map((one) => registry.report?.({ ...deployment(id), ...one })),
    );
    const names = github.release("v1.0.0").assets.map(({ name }) => name);
    expect(new Set(names).size).toBe(APP.length + 6);
    expect(names).toContain(NAME.replace("012000000Z", "012999999Z"));
  });

  test("of a failed deploy leaves no record that it was shipped", async () => {
    const { github, registry } = ghrWorld({ env: { GH_TOKEN: "ghp_writer" } });
    const { id } = github.publish("v1.0.0", APP);
    await registry.report?.({ ...deployment(id), error: "it broke" });
    expect(github.calls).toEqual([]);
  });

  test("with a token that may only read says so", async () => {
    const { github, registry } = ghrWorld();
    const { id } = github.publish("v1.0.0", APP);
    await expect(registry.report?.(deployment(id))).rejects.toMatchObject({
      code: "credential",
      retryable: false,
      message: expect.stringContaining('"Contents: write"'),
    });
  });
});
