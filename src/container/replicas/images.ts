import { readdir, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import * as v from "valibot";
import type { Context } from "../../core/context.ts";
import { DeployError, HostError } from "../../core/error.ts";
import { messageOf } from "../../core/message_of.ts";
import type { Deployer } from "../../deploy/deployer.ts";
import type { ReleaseDirectory } from "../../deployers/release_directory.ts";
import type { StageRelease } from "../../deployers/stage_release.ts";
import { writeFileAtomic } from "../../host/files/atomic_file.ts";
import type { ImageRegistry } from "../../registries/oci/image_registry.ts";
import type { ContainerEngine, EngineImage } from "../engine/engine.ts";
import { imageName, imageRepository } from "../options/names.ts";
import { type ImageVerification, verifyImage } from "./verify_image.ts";

export interface ImageSource {
  engine: ContainerEngine;
  registry: ImageRegistry;
}

interface StageImageOptions extends ImageSource, Pick<Context, "clock" | "emit"> {
  directory: ReleaseDirectory;
  app: string;
  /** Verifies every image before it is pulled. Defaults to none. */
  verification?: ImageVerification | undefined;
  /** Throws if the proxy could not reach containers of the image. */
  check(image: EngineImage): void;
}

interface PruneOptions extends Pick<Context, "emit"> {
  engine: ContainerEngine;
  directory: ReleaseDirectory;
  app: string;
}

const RECORD_FILE = "image.json";
/** An engine that hangs must not hold up the polling. */
const PRUNE_TIMEOUT_MS = 60_000;

/** The image of a release, stored in the release directory for hooks and for the next dewy. */
const ImageRecord = v.object({
  tag: v.string(),
  digest: v.string(),
  /** The image by digest: `ghcr.io/owner/app@sha256:…`. */
  reference: v.string(),
  /** The name in the engine. */
  name: v.string(),
  /** The ID in the engine. */
  id: v.string(),
  exposedPorts: v.pipe(v.array(v.number()), v.readonly()),
});
export type ImageRecord = v.InferOutput<typeof ImageRecord>;

/** Verifies images, pulls them by the verified digest, and records them in new release directories. */
export function stageImage(options: StageImageOptions): StageRelease {
  const { app, clock, directory, emit, verification } = options;
  return async (candidate, signal, record) => {
    const { tag } = candidate.release;
    const { artifact } = candidate;
    const { digest } = artifact;
    const name = imageName(app, tag);
    if (digest === undefined) {
      throw new DeployError("stage", `Cannot pull ${tag}: the registry states no digest`);
    }
    const proofs =
      verification === undefined ? [] : await verifyImage(candidate, verification, options, signal);
    const startedAt = clock.now();
    emit({ type: "image-pulling", tag, artifact: artifact.name });
    const { image, reference } = await fetchImage({ digest, name }, options, signal);
    const durationMs = clock.now() - startedAt;
    emit({ type: "image-pulled", tag, image: reference, durationMs });
    options.check(image);
    const { id, exposedPorts } = image;
    const staged = await directory.create(new Date(clock.now()), async (path, created) => {
      await writeImageRecord(path, { tag, digest, reference, name, id, exposedPorts });
      await record({ directory: created, digest, proofs });
    });
    return { directory: staged, digest, proofs };
  };
}

/** Pulls an image, and adds the name to it that keeps the engine's own cleanup from removing it. */
export async function fetchImage(
  { digest, name }: Pick<ImageRecord, "digest" | "name">,
  { engine, registry }: ImageSource,
  signal: AbortSignal,
): Promise<{ image: EngineImage; reference: string }> {
  const access = await registry.pullAccess(digest, { signal });
  const reference = access.image;
  await engine.pull({ ...access, signal });
  await engine.tag(reference, name, signal);
  const image = await engine.image(reference, signal);
  if (image === undefined) {
    throw new HostError(`Cannot use ${reference}: the engine pulled it but cannot find it`);
  }
  return { image, reference };
}

async function writeImageRecord(directory: string, record: ImageRecord): Promise<void> {
  await writeFileAtomic(join(directory, RECORD_FILE), `${JSON.stringify(record, undefined, 2)}\n`);
}

export async function readImageRecord(directory: string): Promise<ImageRecord> {
  const path = join(directory, RECORD_FILE);
  try {
    return v.parse(ImageRecord, JSON.parse(await readFile(path, "utf8")));
  } catch (cause) {
    const reason = messageOf(cause);
    throw new HostError(`Cannot read ${path}: ${reason}`, { cause, retryable: false });
  }
}

/** Removes old releases and unused image names. The engine removes an image with its last name. */
export function pruneImages(options: PruneOptions): Deployer["prune"] {
  const { directory, emit } = options;
  return async (retention) => {
    const before = await allRecords(directory);
    const removed = await directory.prune(retention);
    try {
      const images = await removeUnused(before, options);
      if (images.length > 0) emit({ type: "images-removed", images });
    } catch (error) {
      const fields = { error: messageOf(error) };
      const message = "Cannot remove old images; the next deploy tries again";
      emit({ type: "warning", message, fields });
    }
    return removed;
  };
}

async function removeUnused(
  before: readonly ImageRecord[],
  { engine, directory, app }: PruneOptions,
): Promise<readonly string[]> {
  const signal = AbortSignal.timeout(PRUNE_TIMEOUT_MS);
  const kept = await allRecords(directory);
  const names = await engine.imageNames(imageRepository(app), signal);
  const usedNames = new Set(kept.map(({ name }) => name));
  const usedDigests = new Set(kept.map(({ digest }) => digest));
  // The engine also stores the digest of the pull as a name.
  const references = before
    .filter(({ digest }) => !usedDigests.has(digest))
    .map(({ reference }) => reference);
  const unused = [...names.filter((name) => !usedNames.has(name)), ...new Set(references)];
  const removed: string[] = [];
  for (const image of unused) if (await engine.removeImage(image, signal)) removed.push(image);
  return removed;
}

async function allRecords(directory: ReleaseDirectory): Promise<readonly ImageRecord[]> {
  const names = await readdir(dirname(directory.path("any"))).catch(() => []);
  const found = names
    .filter((name) => !name.startsWith("."))
    .map((name) => readImageRecord(directory.path(name)).catch(() => undefined));
  return (await Promise.all(found)).filter((record) => record !== undefined);
}
