import type { Clock } from "../../core/clock.ts";
import { DeployError } from "../../core/error.ts";
import type { EventSink } from "../../core/event.ts";
import type { ReleaseDirectory } from "../../deployers/release_directory.ts";
import type { StageRelease } from "../../deployers/stage_release.ts";
import type { EngineImage } from "../engine/engine.ts";
import { imageName } from "../options/names.ts";
import { type FetchImageOptions, fetchImage } from "./fetch_image.ts";
import { writeImageRecord } from "./image_record.ts";

/** What {@link stageImage} works with. */
export interface StageImageOptions extends FetchImageOptions {
  directory: ReleaseDirectory;
  app: string;
  /** Throws when containers of the image could not be reached. */
  check(image: EngineImage): void;
  clock: Clock;
  emit: EventSink;
}

/**
 * Makes the function that pulls an image by digest and makes a release directory that tells of it: what was checked is
 * what runs.
 *
 * @param options where from, and where to.
 * @returns the function.
 */
export function stageImage(options: StageImageOptions): StageRelease {
  const { app, clock, directory, emit } = options;
  return async ({ release: { tag }, artifact }, signal, record) => {
    const { digest } = artifact;
    const name = imageName(app, tag);
    if (digest === undefined) {
      throw new DeployError("stage", `Cannot pull ${tag}: the registry states no digest`);
    }
    const startedAt = clock.now();
    emit({ type: "image-pulling", tag, artifact: artifact.name });
    const { image, reference } = await fetchImage(digest, name, options, signal);
    const durationMs = clock.now() - startedAt;
    emit({ type: "image-pulled", tag, image: reference, durationMs });
    options.check(image);
    const { id, exposedPorts } = image;
    const made = await directory.create(new Date(clock.now()), async (path, staged) => {
      await writeImageRecord(path, { tag, digest, reference, name, id, exposedPorts });
      await record({ directory: staged });
    });
    return { directory: made };
  };
}
