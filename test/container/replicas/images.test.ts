import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import type { EngineImage } from "../../../src/container/engine/engine.ts";
import { imageName } from "../../../src/container/options/names.ts";
import type { PortMapping } from "../../../src/container/options/ports.ts";
import { pruneImages, stageImage } from "../../../src/container/replicas/images.ts";
import {
  type PrepareOptions,
  prepareRelease,
} from "../../../src/container/replicas/prepare_release.ts";
import type { ImageVerification } from "../../../src/container/replicas/verify_image.ts";
import { ConfigError, VerificationError } from "../../../src/core/error.ts";
import type { DewyEvent } from "../../../src/core/event.ts";
import type { Proof } from "../../../src/core/proof.ts";
import type { Retention } from "../../../src/deploy/state.ts";
import {
  openReleaseDirectory,
  type ReleaseDirectory,
} from "../../../src/deployers/release_directory.ts";
import type { StageRelease } from "../../../src/deployers/stage_release.ts";
import type { ImageRegistry } from "../../../src/registries/oci/image_registry.ts";
import { candidate, eventsOf, jumpingClock, testRegistry } from "../../deploy/world.ts";
import { type FakeEngine, fakeEngine, unreachable } from "../../fakes/engine.ts";
import { never } from "./service_fixture.ts";

const PROOF: Proof = { kind: "sigstore-key", evidence: "sha256-1.sig", signer: "SHA256:key" };

interface ImageFixture {
  engine: FakeEngine;
  directory: ReleaseDirectory;
  events: DewyEvent[];
  stage: StageRelease;
  prepare(over?: Partial<PrepareOptions>): ReturnType<typeof prepareRelease>;
  prune: ReturnType<typeof pruneImages>;
  /** Publishes an image and stages it. @returns its release. */
  staged(tag: string, image?: Partial<EngineImage>, digest?: string): Promise<string>;
}

const APP = "shop";
const mapping = (containerPort: number | undefined): PortMapping => ({
  listen: { kind: "tcp", host: undefined, port: 8080 },
  containerPort,
});

async function imageFixture(verification?: ImageVerification): Promise<ImageFixture> {
  const root = await mkdtemp(join(tmpdir(), "dewy-images-"));
  const engine = fakeEngine();
  onTestFinished(async () => {
    await engine.close();
    await rm(root, { recursive: true });
  });
  const directory = await openReleaseDirectory(root);
  const events: DewyEvent[] = [];
  const emit = (event: DewyEvent): void => void events.push(event);
  const clock = jumpingClock();
  const registry: ImageRegistry = {
    ...testRegistry(),
    pullAccess: async (digest) => ({
      image: `registry.test/shop@${digest}`,
      credential: undefined,
      plainHttp: false,
    }),
  };
  const check = ({ exposedPorts }: EngineImage): void => {
    if (exposedPorts.length === 0) throw new Error("no port is exposed");
  };
  const stage = stageImage({
    engine,
    registry,
    directory,
    app: APP,
    verification,
    check,
    clock,
    emit,
  });
  return {
    engine,
    directory,
    events,
    stage,
    prepare: (over = {}) =>
      prepareRelease({
        engine,
        registry,
        directory,
        mappings: [mapping(undefined)],
        args: [],
        user: undefined,
        command: [],
        own: undefined,
        ...over,
      }),
    prune: pruneImages({ engine, directory, app: APP, emit }),
    staged: async (tag, image = {}, digest = `sha256:${tag}`) => {
      engine.publish(`registry.test/shop@${digest}`, {}, image);
      await clock.sleep(1_000);
      return (await stage(candidate(tag, { digest }), never, async () => {})).directory;
    },
  };
}

describe("stageImage", () => {
  it("pulls by digest, names the image, and records it in a release", async () => {
    const { engine, directory, events, staged } = await imageFixture();
    const name = await staged("v1.0.0+blue", { exposedPorts: [80] });
    const record = await import(join(directory.path(name), "image.json"), {
      with: { type: "json" },
    });
    expect(record.default).toMatchObject({
      tag: "v1.0.0+blue",
      digest: "sha256:v1.0.0+blue",
      reference: "registry.test/shop@sha256:v1.0.0+blue",
      name: "localhost/dewy/shop:v1.0.0_blue",
      exposedPorts: [80],
    });
    expect(engine.names()).toContain("localhost/dewy/shop:v1.0.0_blue");
    expect(eventsOf(events, "image-pulled")).toHaveLength(1);
  });

  it.each(["pull", "tag", "image"] as const)("leaves no release if %s fails", async (operation) => {
    const { engine, directory, staged } = await imageFixture();
    engine.fail.set(operation, unreachable());
    await expect(staged("v1.0.0")).rejects.toThrow("Cannot reach the container engine");
    expect(await readdir(directory.root)).toEqual([]);
  });

  it("leaves no release of an unreachable image or without a digest", async () => {
    const { directory, stage, staged } = await imageFixture();
    await expect(staged("v1.0.0", { exposedPorts: [] })).rejects.toThrow("no port is exposed");
    await expect(stage(candidate("v1.0.0"), never, async () => {})).rejects.toThrow(
      "states no digest",
    );
    expect(await readdir(directory.root)).toEqual([]);
  });

  it("leaves no release that cannot be recorded", async () => {
    const { engine, directory, stage } = await imageFixture();
    engine.publish("registry.test/shop@sha256:v1.0.0");
    const digest = "sha256:v1.0.0";
    const full = stage(candidate("v1.0.0", { digest }), never, async () => {
      throw new Error("the disk is full");
    });
    await expect(full).rejects.toThrow("the disk is full");
    expect(await readdir(dirname(directory.path("any")))).toEqual([]);
  });
});

describe("stageImage with a policy", () => {
  const signed = (
    gate: ImageVerification["gate"],
    asked: unknown[] = [],
  ): Required<ImageVerification> => ({
    gate,
    evidenceOf(image) {
      asked.push(image.digest);
      return { digests: async () => ["1"], async *signatures() {} };
    },
  });

  it("pulls and runs the digest that was verified", async () => {
    const asked: unknown[] = [];
    const digest = `sha256:${"1".repeat(64)}`;
    const { engine, events, stage, prepare } = await imageFixture(
      signed(
        {
          async verify({ tag, name, sha256, image }) {
            asked.push(tag, name, sha256, await image?.digests(never), [...engine.calls]);
            return [PROOF];
          },
        },
        asked,
      ),
    );
    const reference = engine.publish(`registry.test/shop@${digest}`);
    const staged = await stage(candidate("v1.0.0", { digest }), never, async () => {});
    const name = candidate("v1.0.0").artifact.name;
    expect(asked).toEqual([digest, "v1.0.0", name, "1".repeat(64), ["1"], []]);
    expect(staged).toMatchObject({ digest, proofs: [PROOF] });
    expect(events.map(({ type }) => type)).toEqual(["verified", "image-pulling", "image-pulled"]);
    expect(eventsOf(events, "verified")[0]).toMatchObject({ tag: "v1.0.0", proofs: [PROOF] });
    expect(engine.calls).toContain(`pull ${reference}`);
    const { spec } = await prepare()({ tag: "v1.0.0", directory: staged.directory }, never);
    expect(spec.image).toBe(reference);
  });

  it("does not pull an image that is not verified", async () => {
    const refusal = new VerificationError("no signature");
    const { engine, directory, events, staged } = await imageFixture(
      signed({ verify: () => Promise.reject(refusal) }),
    );
    await expect(staged("v1.0.0")).rejects.toBe(refusal);
    expect(engine.calls).toEqual([]);
    expect(events).toEqual([]);
    expect(await readdir(directory.root)).toEqual([]);
  });

  it("does not wait without end for a registry that drips", async () => {
    const { engine, staged } = await imageFixture(signed({ verify: () => new Promise(() => {}) }));
    await expect(staged("v1.0.0")).rejects.toMatchObject({
      code: "unverified",
      message: expect.stringContaining("no result within 300 s"),
    });
    expect(engine.calls).toEqual([]);
  });

  it("finds no signature in a registry that has none for images", async () => {
    const found: unknown[] = [];
    const { staged } = await imageFixture({
      evidenceOf: undefined,
      gate: {
        async verify({ image }) {
          if (image === undefined) throw new Error("not an image");
          for await (const one of image.signatures(never)) found.push(one);
          throw new ConfigError("nothing found");
        },
      },
    });
    await expect(staged("v1.0.0")).rejects.toThrow("nothing found");
    expect(found).toEqual([]);
  });
});

describe("prepareRelease", () => {
  const release = (directory: string): { tag: string; directory: string } => ({
    tag: "v1.0.0",
    directory,
  });

  it("uses a local image without the network", async () => {
    const { engine, staged, prepare } = await imageFixture();
    const name = await staged("v1.0.0", { exposedPorts: [3000], user: "app" });
    engine.fail.set("pull", new Error("no network"));
    const prepared = await prepare({ args: ["-e", "A=b"], command: ["serve"] })(
      release(name),
      never,
    );
    expect(prepared).toMatchObject({
      directory: name,
      containerPorts: [3000],
      spec: {
        image: "registry.test/shop@sha256:v1.0.0",
        ports: [3000],
        user: undefined,
        args: ["-e", "A=b"],
        command: ["serve"],
      },
    });
  });

  it("finds an image without its name by its ID, and pulls a missing one again", async () => {
    const { engine, staged, prepare } = await imageFixture();
    const name = await staged("v1.0.0");
    engine.forget("registry.test/shop@sha256:v1.0.0");
    const byId = await prepare()(release(name), never);
    expect(byId.spec.image).toMatch(/^sha256:/);
    engine.forget(imageName(APP, "v1.0.0"));
    const again = await prepare()(release(name), never);
    expect(again.spec.image).toBe("registry.test/shop@sha256:v1.0.0");
    expect(engine.names()).toContain(imageName(APP, "v1.0.0"));
  });

  it("reports a missing image instead of pulling it if it may use only what is on this machine", async () => {
    const { engine, staged, prepare } = await imageFixture();
    const name = await staged("v1.0.0");
    const found = await prepare()(release(name), never, true);
    expect(found.spec.image).toBe("registry.test/shop@sha256:v1.0.0");
    engine.forget("registry.test/shop@sha256:v1.0.0");
    engine.forget(imageName(APP, "v1.0.0"));
    await expect(prepare()(release(name), never, true)).rejects.toThrow(
      "the image was removed from this machine; to pull it again: dewy deploy v1.0.0",
    );
    expect(engine.names()).toEqual([]);
  });

  it("distinguishes containers by their flags", async () => {
    const { staged, prepare } = await imageFixture();
    const name = await staged("v1.0.0", { exposedPorts: [80] });
    const config = async (over: Partial<PrepareOptions>): Promise<string> =>
      (await prepare(over)(release(name), never)).config;
    const own = { uid: 1000, gid: 1000 };
    const configs = await Promise.all([
      config({}),
      config({ args: ["-e", "A=b"] }),
      config({ command: ["serve"] }),
      config({ mappings: [mapping(81)] }),
      config({ own }),
    ]);
    expect(new Set(configs).size).toBe(configs.length);
    expect(await config({ mappings: [mapping(80)] })).toBe(configs[0]);
  });

  it("reports a missing record", async () => {
    const { directory, staged, prepare } = await imageFixture();
    const name = await staged("v1.0.0");
    await rm(join(directory.path(name), "image.json"));
    await expect(prepare()(release(name), never)).rejects.toThrow(/Cannot read .*image\.json/);
  });
});

const keepSeven = async (): Promise<Retention> => ({ keep: new Set(), others: 7 });

describe("pruneImages", () => {
  it("keeps the seven newest images, and removes the names of the others", async () => {
    const { engine, directory, events, staged, prune } = await imageFixture();
    const releases: string[] = [];
    for (let minor = 0; minor < 9; minor += 1) releases.push(await staged(`v1.${minor}.0`));
    expect(await prune(keepSeven)).toEqual(releases.slice(0, 2).reverse());
    const left = engine.names().filter((name) => name.startsWith("localhost/"));
    expect(left.sort()).toEqual(
      Array.from({ length: 7 }, (_, index) => imageName(APP, `v1.${index + 2}.0`)),
    );
    expect(engine.names().filter((name) => name.includes("@"))).toHaveLength(7);
    expect(eventsOf(events, "images-removed")[0]?.images).toContain(imageName(APP, "v1.0.0"));
    expect(await directory.has(releases[2] ?? "")).toBe(true);
  });

  it("keeps images of other apps, of containers, and of kept releases", async () => {
    const { engine, staged, prune } = await imageFixture();
    const same = "sha256:same";
    await staged("v1.0.0", {}, same);
    await staged("v1.1.0");
    await engine.tag("registry.test/shop@sha256:v1.1.0", "localhost/dewy/other:v1.1.0", never);
    await engine.start(
      {
        name: "used",
        image: imageName(APP, "v1.1.0"),
        labels: {},
        ports: [],
        user: undefined,
        args: [],
        command: [],
      },
      never,
    );
    for (let minor = 2; minor < 8; minor += 1) await staged(`v1.${minor}.0`);
    await staged("v1.8.0", {}, same);
    await prune(keepSeven);
    const names = engine.names();
    expect(names).toContain("localhost/dewy/other:v1.1.0");
    expect(names).toContain(imageName(APP, "v1.1.0"));
    expect(names).toContain(`registry.test/shop@${same}`);
    expect(names).not.toContain(imageName(APP, "v1.0.0"));
  });

  it("removes names that a crash has left without a release", async () => {
    const { engine, staged, prune } = await imageFixture();
    await staged("v1.0.0");
    await engine.tag("registry.test/shop@sha256:v1.0.0", imageName(APP, "v0.1.0"), never);
    await prune(keepSeven);
    expect(engine.names()).not.toContain(imageName(APP, "v0.1.0"));
  });

  it("warns if the engine is unreachable, and still prunes releases", async () => {
    const { engine, events, staged, prune } = await imageFixture();
    for (let minor = 0; minor < 8; minor += 1) await staged(`v1.${minor}.0`);
    engine.fail.set("imageNames", unreachable());
    expect(await prune(keepSeven)).toHaveLength(1);
    expect(eventsOf(events, "warning")).toHaveLength(1);
  });
});
