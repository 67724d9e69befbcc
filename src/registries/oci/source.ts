import type { Platform } from "../../core/types.ts";
import { normalizePlatform } from "../../platform/platform.ts";
import type { ListedTag, ReleaseFiles, ReleaseSource } from "../../resolve/resolve.ts";
import { versionOf } from "../../version/version.ts";
import type { OciClient } from "./client.ts";
import { findImage } from "./image.ts";
import { DOCKER_HUB, isDockerHub } from "./image_reference.ts";
import type { OciLocator } from "./locator.ts";
import { formatImgArtifactUrl } from "./locator.ts";

/** The newest tag, and those that replace it while it is excluded. */
const MAX_KNOWN = 8;

/**
 * The tags of a repository, and the image behind one. A poll costs the list of tags and a `HEAD` of the newest; manifests
 * are fetched only if the digest of that tag has changed.
 */
export class ImgSource implements ReleaseSource {
  readonly #locator: OciLocator;
  readonly #client: OciClient;
  readonly #machine: Platform;
  #spelled: ReadonlyMap<string, string> = new Map();
  /** By tag; valid as long as the tag has the same digest. */
  readonly #known: Map<string, { digest: string; files: ReleaseFiles }> = new Map();
  #last: string | undefined;

  constructor(locator: OciLocator, client: OciClient, platform: Platform) {
    this.#locator = locator;
    this.#client = client;
    this.#machine = normalizePlatform(platform);
  }

  /**
   * Lists all tags as versions. The last chosen tag comes first, so that equal versions do not alternate in
   * registries without an order.
   */
  async *tags(signal: AbortSignal | undefined): AsyncGenerator<ListedTag> {
    const tags: string[] = [];
    for await (const page of this.#client.tags(signal)) for (const tag of page) tags.push(tag);
    const { listed, spelled } = spellTags(tags, this.#locator.calver);
    this.#spelled = spelled;
    const isLast = ({ tag }: ListedTag): boolean => this.spelled(tag) === this.#last;
    yield* listed.filter(isLast);
    yield* listed.filter((one) => !isLast(one));
  }

  async release(tag: string, signal: AbortSignal | undefined): Promise<ReleaseFiles | undefined> {
    const spelled = this.spelled(tag);
    const image = await this.#image(spelled, signal);
    if (image !== undefined) this.#last = spelled;
    return image;
  }

  /** Looks up the image. Only how the tag of a slot is spelled takes a listing. */
  async find(version: string, signal: AbortSignal | undefined): Promise<ReleaseFiles | undefined> {
    if (!version.includes("+")) return this.#image(version, signal);
    for await (const { tag } of this.tags(signal)) {
      if (tag === version) return this.#image(this.spelled(version), signal);
    }
    return undefined;
  }

  async #image(
    spelled: string,
    signal: AbortSignal | undefined,
  ): Promise<ReleaseFiles | undefined> {
    const digest = await this.#client.digest(spelled, signal);
    if (digest === undefined) return undefined;
    const known = this.#known.get(spelled);
    if (known?.digest === digest) return known.files;
    const files = await this.#read(spelled, digest, signal);
    this.#remember(spelled, digest, files);
    return files;
  }

  spelled(version: string): string {
    return this.#spelled.get(version) ?? version;
  }

  /** The registry's tags, and the versions that they stand for. */
  versions(tags: Iterable<string>): string[] {
    return [...tags].flatMap((tag) => [tag, versionOf(tag, this.#locator.calver)]);
  }

  #remember(tag: string, digest: string, files: ReleaseFiles | undefined): void {
    this.#known.delete(tag);
    if (files !== undefined) this.#known.set(tag, { digest, files });
    const [oldest] = this.#known.keys();
    if (this.#known.size > MAX_KNOWN && oldest !== undefined) this.#known.delete(oldest);
  }

  async #read(
    tag: string,
    digest: string,
    signal: AbortSignal | undefined,
  ): Promise<ReleaseFiles | undefined> {
    const found = await findImage(this.#client, digest, this.#machine, signal);
    if (found === undefined) return undefined;
    const { image, candidates, createdAt } = found;
    const { repository } = this.#locator;
    // `docker login` knows Docker Hub only by this name.
    const registry = isDockerHub(this.#locator.registry) ? DOCKER_HUB : this.#locator.registry;
    const artifact =
      image === undefined
        ? undefined
        : {
            name: `${repository}:${tag}`,
            url: formatImgArtifactUrl({ registry, repository, tag }),
            size: image.size,
            digest: image.digest,
            revision: digest,
          };
    return {
      id: digest,
      createdAt,
      files: [],
      chosen: { artifact, candidates },
    };
  }
}

interface TagSpelling {
  listed: readonly ListedTag[];
  /** The registry's tag by version, if they differ. */
  spelled: ReadonlyMap<string, string>;
}

/**
 * Reads tags as versions. A tag cannot contain a `+`, so `v1.2.0_blue` stands for `v1.2.0+blue`. If a registry has both,
 * the literal one wins.
 *
 * @see https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests
 */
function spellTags(tags: readonly string[], calver: string): TagSpelling {
  const literal = new Set(tags);
  const spelled = new Map<string, string>();
  const listed = tags.map((tag): ListedTag => {
    const version = versionOf(tag, calver);
    if (version === tag) return { tag };
    if (literal.has(version))
      return { tag, unusable: `stands for ${version}, which exists itself` };
    spelled.set(version, tag);
    return { tag: version };
  });
  return { listed, spelled };
}
