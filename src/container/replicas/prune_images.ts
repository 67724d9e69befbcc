import { readdir } from "node:fs/promises";
import { dirname } from "node:path";
import type { EventSink } from "../../core/event.ts";
import { messageOf } from "../../core/message_of.ts";
import type { Deployer } from "../../deploy/deployer.ts";
import type { ReleaseDirectory } from "../../deployers/release_directory.ts";
import type { ContainerEngine } from "../engine/engine.ts";
import { imageRepository } from "../options/name.ts";
import { type ImageRecord, readImageRecord } from "./image_record.ts";

/** What {@link pruneImages} works with. */
export interface PruneOptions {
  engine: ContainerEngine;
  directory: ReleaseDirectory;
  app: string;
  emit: EventSink;
}

/** A removal is quick; an engine that hangs must not hold up the polling. */
const TIMEOUT_MS = 60_000;

/**
 * Makes the function that removes old releases, and then the names of images that no release is left of. The engine
 * removes an image with its last name, and only when no container uses it.
 *
 * @param options the directory and the engine.
 * @returns the function.
 */
export function pruneImages(options: PruneOptions): Deployer["prune"] {
  const { directory, emit } = options;
  return async (retention) => {
    const before = await records(directory);
    const removed = await directory.prune(retention);
    try {
      const images = await removeUnneeded(before, options);
      if (images.length > 0) emit({ type: "images-removed", images });
    } catch (error) {
      const fields = { error: messageOf(error) };
      emit({ type: "warning", message: "Cannot remove old images; the next deploy tries", fields });
    }
    return removed;
  };
}

async function removeUnneeded(
  before: readonly ImageRecord[],
  { engine, directory, app }: PruneOptions,
): Promise<readonly string[]> {
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  const kept = await records(directory);
  const names = await engine.imageNames(imageRepository(app), signal);
  const neededNames = new Set(kept.map(({ name }) => name));
  const neededDigests = new Set(kept.map(({ digest }) => digest));
  // The engine also knows it by the digest that it was pulled by.
  const references = before
    .filter(({ digest }) => !neededDigests.has(digest))
    .map(({ reference }) => reference);
  const unneeded = [...names.filter((name) => !neededNames.has(name)), ...new Set(references)];
  const gone: string[] = [];
  for (const image of unneeded) if (await engine.removeImage(image, signal)) gone.push(image);
  return gone;
}

/** Those of all releases that are there. */
async function records(directory: ReleaseDirectory): Promise<readonly ImageRecord[]> {
  const names = await readdir(dirname(directory.path("any"))).catch(() => []);
  const found = names
    .filter((name) => !name.startsWith("."))
    .map((name) => readImageRecord(directory.path(name)).catch(() => undefined));
  return (await Promise.all(found)).filter((record) => record !== undefined);
}
