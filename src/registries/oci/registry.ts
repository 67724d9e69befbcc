import { ConfigError } from "../../core/error.ts";
import { joinSignals } from "../../core/timeout.ts";
import type { Resolution, ResolveOptions } from "../../core/types.ts";
import { redactUrl } from "../../core/url.ts";
import { versionOf } from "../../version/version.ts";
import type { RegistryContext } from "../driver.ts";
import { listRegistry, skipAbandoned } from "../list_registry.ts";
import { createOciClient } from "./client.ts";
import { DOCKER_HUB, isDockerHub } from "./image_reference.ts";
import type { ImageRegistry } from "./image_registry.ts";
import type { OciLocator } from "./locator.ts";
import { ImgSource } from "./source.ts";

/** Opens a registry of images. An idle poll costs the list of tags and a `HEAD`, neither of which counts as a pull. */
export function openImg(locator: OciLocator, io: RegistryContext): ImageRegistry {
  const client = createOciClient(locator, io);
  const source = new ImgSource(locator, client, io.platform);
  const listed = listRegistry({
    locator,
    io,
    source,
    async open(artifact, options = {}) {
      options.signal?.throwIfAborted();
      throw new ConfigError(
        `Cannot download "${redactUrl(artifact.url)}": an image is pulled by a container runtime; use dewy container`,
      );
    },
    async exists(tag, options = {}) {
      const signal = joinSignals(options.signal, io.signal);
      if ((await client.digest(tag, signal)) !== undefined) return true;
      // A registry also answers 404 without permission. A tag counts as gone only if the tags can still be listed.
      for await (const page of client.tags(signal)) if (page.includes(tag)) return true;
      return false;
    },
  });
  // Registries keep listing tags whose images have been deleted.
  const registry = skipAbandoned(listed);
  const translate = ({
    signal,
    explain,
    onTag,
    exclude,
    tag,
    since,
  }: ResolveOptions = {}): ResolveOptions => ({
    signal,
    explain,
    onTag,
    exclude: exclude && source.versions(exclude),
    tag: tag && versionOf(tag, locator.calver),
    since: since && versionOf(since, locator.calver),
  });
  const spell = (found: Resolution): Resolution => {
    const tags = found.explanation?.tags.map((one) => ({ ...one, tag: source.spelled(one.tag) }));
    const explanation = found.explanation && tags && { ...found.explanation, tags };
    const resolution: Resolution = { ...found, explanation };
    if (resolution.kind === "ready") {
      const { release } = resolution;
      return { ...resolution, release: { ...release, tag: source.spelled(release.tag) } };
    }
    const { tag } = resolution;
    return tag === undefined ? resolution : { ...resolution, tag: source.spelled(tag) };
  };
  return {
    ...registry,
    // The source lists images for one platform.
    anyPlatform: false,
    async pullAccess(digest, options = {}) {
      const { registry: host, repository, plainHttp } = locator;
      const credential = await client.credentialFor(digest, joinSignals(options.signal, io.signal));
      // Engines know Docker Hub by this name only.
      const name = isDockerHub(host) ? DOCKER_HUB : host;
      return { image: `${name}/${repository}@${digest}`, credential, plainHttp };
    },
    async *versions({ exclude = [], signal } = {}) {
      const { listVersions } = await import("../../resolve/list_versions.ts");
      const wanted = {
        exclude: source.versions(exclude),
        signal: joinSignals(signal, io.signal),
      };
      // Dates are in the images, and reading one counts as a pull.
      const listed = listVersions({ tags: (stop) => source.tags(stop) }, locator, wanted);
      for await (const one of listed) yield { ...one, tag: source.spelled(one.tag) };
    },
    resolve: async (options) => spell(await registry.resolve(translate(options))),
  };
}
