import { createHash } from "node:crypto";
import { HostError } from "../../core/error.ts";
import type { ReleaseDirectory } from "../../deployers/release_directory.ts";
import type { AppRelease } from "../../deployers/runner.ts";
import type { ContainerSpec, EngineImage } from "../engine/engine.ts";
import { containerPorts, type PortMapping } from "../options/ports.ts";
import { containerUser } from "../options/user.ts";
import { fetchImage, type ImageRecord, type ImageSource, readImageRecord } from "./images.ts";

export interface ContainerRelease extends AppRelease {
  /** The options of all of its containers. */
  spec: Omit<ContainerSpec, "name" | "labels">;
  /** The container port for each port of the proxy. */
  containerPorts: readonly number[];
  exposedPorts: readonly number[];
  /** A hash of `spec` without the image. */
  config: string;
}

/** Pulls the image if it is missing, or rejects if it may use only what is on this machine. */
export type PrepareRelease = (
  release: AppRelease,
  signal: AbortSignal,
  isLocal?: boolean,
) => Promise<ContainerRelease>;

export interface PrepareOptions extends ImageSource {
  directory: ReleaseDirectory;
  mappings: readonly PortMapping[];
  args: readonly string[];
  /** The `--user` in `args`. */
  user: string | undefined;
  command: readonly string[];
  /** dewy's own user and group; `undefined` if the system has none. */
  own: { uid: number; gid: number } | undefined;
}

export function prepareRelease(options: PrepareOptions): PrepareRelease {
  const { directory, mappings, args, command, own } = options;
  return async (release, signal, isLocal = false) => {
    const record = await readImageRecord(directory.path(release.directory));
    const { image, reference } = await imageOf(record, options, signal, isLocal);
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

async function imageOf(
  { tag, reference, id, digest, name }: ImageRecord,
  source: ImageSource,
  signal: AbortSignal,
  isLocal: boolean,
): Promise<{ image: EngineImage; reference: string }> {
  for (const candidate of [reference, id]) {
    const image = await source.engine.image(candidate, signal);
    if (image?.id === id) return { image, reference: candidate };
  }
  if (isLocal) {
    const hint = `to pull it again: dewy deploy ${tag}`;
    throw new HostError(
      `Cannot use ${reference}: the image was removed from this machine; ${hint}`,
    );
  }
  return fetchImage({ digest, name }, source, signal);
}

function hash(shape: object): string {
  return createHash("sha256").update(JSON.stringify(shape)).digest("hex").slice(0, 16);
}
