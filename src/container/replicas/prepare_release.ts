import { createHash } from "node:crypto";
import type { ReleaseDirectory } from "../../deployers/release_directory.ts";
import type { EngineImage } from "../engine/engine.ts";
import type { PortMapping } from "../options/ports.ts";
import { containerPorts } from "../options/ports.ts";
import { containerUser } from "../options/user.ts";
import type { PrepareRelease } from "./container_release.ts";
import { type FetchImageOptions, fetchImage } from "./fetch_image.ts";
import { type ImageRecord, readImageRecord } from "./image_record.ts";

/** What {@link prepareRelease} works with. */
export interface PrepareOptions extends FetchImageOptions {
  directory: ReleaseDirectory;
  mappings: readonly PortMapping[];
  /** The operator's own options. */
  args: readonly string[];
  /** The `--user` among them; `undefined`: none. */
  user: string | undefined;
  /** What to run instead of the image's own command; empty: that one. */
  command: readonly string[];
  /** dewy's own user and group; `undefined` where the system has none. */
  own: { uid: number; gid: number } | undefined;
}

/**
 * Makes the function that says how the containers of a release are started. An image that is here is used as it is; one
 * that somebody has removed is pulled again.
 *
 * @param options the flags, and where images come from.
 * @returns the function.
 */
export function prepareRelease(options: PrepareOptions): PrepareRelease {
  const { directory, mappings, args, command, own } = options;
  return async (release, signal) => {
    const record = await readImageRecord(directory.path(release.directory));
    const { image, reference } = await localImage(record, options, signal);
    const ports = containerPorts(mappings, image.exposedPorts);
    const user = containerUser({ given: options.user, image: image.user, own });
    const shape = { ports: [...new Set(ports)], user, args, command };
    return {
      ...release,
      spec: { ...shape, image: reference },
      containerPorts: ports,
      exposedPorts: image.exposedPorts,
      config: hash(shape),
    };
  };
}

async function localImage(
  { reference, id, digest, name }: ImageRecord,
  options: FetchImageOptions,
  signal: AbortSignal,
): Promise<{ image: EngineImage; reference: string }> {
  for (const candidate of [reference, id]) {
    const image = await options.engine.image(candidate, signal);
    if (image?.id === id) return { image, reference: candidate };
  }
  return fetchImage(digest, name, options, signal);
}

function hash(shape: object): string {
  return createHash("sha256").update(JSON.stringify(shape)).digest("hex").slice(0, 16);
}
