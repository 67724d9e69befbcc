import type { Artifact, Platform, Release } from "../core/types.ts";
import { revisionOf } from "./artifact_link.ts";

export interface BookedAnswer {
  release: Release;
  artifact: Artifact;
  platform: Platform;
  revision: string;
}

const MAX_ANSWERS = 512;

/** The recent answers: only these can be downloaded and reported on. */
export class AnswerBook {
  readonly #byRevision = new Map<string, BookedAnswer>();
  readonly #byArtifact = new WeakMap<Artifact, Promise<BookedAnswer>>();

  add(release: Release, artifact: Artifact, platform: Platform): Promise<BookedAnswer> {
    const known = this.#byArtifact.get(artifact);
    if (known !== undefined) return known;
    const added = this.#entryOf(release, artifact, platform);
    this.#byArtifact.set(artifact, added);
    return added;
  }

  async #entryOf(release: Release, artifact: Artifact, platform: Platform): Promise<BookedAnswer> {
    const { name, url, size, digest } = artifact;
    const revision = await revisionOf([
      release.id,
      release.tag,
      name,
      url,
      size,
      digest,
      artifact.revision,
    ]);
    const entry = { release, artifact, platform, revision };
    this.#byRevision.delete(revision);
    this.#byRevision.set(revision, entry);
    const [oldest] = this.#byRevision.keys();
    if (this.#byRevision.size > MAX_ANSWERS && oldest !== undefined)
      this.#byRevision.delete(oldest);
    return entry;
  }

  find(revision: string): BookedAnswer | undefined {
    return this.#byRevision.get(revision);
  }

  findRelease(id: string, tag: string): BookedAnswer | undefined {
    return [...this.#byRevision.values()].find(
      ({ release }) => release.id === id && release.tag === tag,
    );
  }
}
