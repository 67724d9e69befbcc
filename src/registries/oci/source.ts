import type { Platform } from "../../core/types.ts";
import { normalizePlatform } from "../../platform/platform.ts";
import type { ListedTag, ReleaseFiles, ReleaseSource } from "../../resolve/resolve.ts";
import { versionOf } from "../../version/version.ts";
import type { OciClient } from "./client.ts";
import { findImage } from "./image.ts";
import { DOCKER_HUB, isDockerHub } from "./image_reference.ts";
import type { OciLocator } from "./locator.ts";
import { formatImgArtifactUrl } from "./locator.ts";
import { spellTags } from "./tags.ts";

/** The newest, and those that are asked for while it is held back. */
const MAX_KNOWN = 8;

/**
 * The tags of a repository, and the image behind one. A poll costs the list of tags and a `HEAD` of the newest; manifests
 * are read only when the digest behind that tag is a new one.
 */
export class ImgSource implements ReleaseSource {
  readonly #locator: OciLocator;
  readonly #client: OciClient;
  readonly #machine: Platform;
  #spelled: ReadonlyMap<string, string> = new Map();
  /** What was read of a tag, as long as it has the same digest. */
  readonly #known: Map<string, { digest: string; files: ReleaseFiles }> = new Map();
  #last: string | undefined;

  /**
   * @param locator the repository, and how its tags are read.
   * @param client asks the registry.
   * @param platform the machine.
   */
  constructor(locator: OciLocator, client: OciClient, platform: Platform) {
    this.#locator = locator;
    this.#client = client;
    this.#machine = normalizePlatform(platform);
  }

  /** Lists all tags as versions; the one that was chosen last comes first, so that registries without an order do not make equal versions take turns. */
  async *tags(signal: AbortSignal | undefined): AsyncGenerator<ListedTag> {
    const tags: string[] = [];
    for await (const page of this.#client.tags(signal)) for (const tag of page) tags.push(tag);
    const { listed, spelled } = spellTags(tags, this.#locator.calver);
    this.#spelled = spelled;
    const isLast = ({ tag }: ListedTag): boolean => this.spelled(tag) === this.#last;
    yield* listed.filter(isLast);
    yield* listed.filter((one) => !isLast(one));
  }

  /** The image behind a listed version, for this machine. */
  async release(tag: string, signal: AbortSignal | undefined): Promise<ReleaseFiles | undefined> {
    const spelled = this.spelled(tag);
    const digest = await this.#client.digest(spelled, signal);
    if (digest === undefined) return undefined;
    this.#last = spelled;
    const known = this.#known.get(spelled);
    if (known?.digest === digest) return known.files;
    const files = await this.#read(spelled, digest, signal);
    this.#remember(spelled, digest, files);
    return files;
  }

  /**
   * @param version a version as the resolver reads it.
   * @returns the tag as the registry spells it.
   */
  spelled(version: string): string {
    return this.#spelled.get(version) ?? version;
  }

  /**
   * @param tags tags as the registry spells them.
   * @returns the same and the versions that they stand for.
   */
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
    // `docker login` knows Docker Hub by this name only.
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
      ...(createdAt === undefined ? {} : { createdAt }),
      files: [],
      chosen: { artifact, candidates },
    };
  }
}
