import type { Artifact, Platform, Release } from "../core/types.ts";
import { revisionOf } from "./artifact_link.ts";

/** A version that was answered. */
export interface BookedAnswer {
  release: Release;
  artifact: Artifact;
  /** The machine it was for. */
  platform: Platform;
  /** Names the bytes; see {@link revisionOf}. */
  revision: string;
}

const MAX_ANSWERS = 512;

/** What was answered lately: only that can be downloaded and reported about. */
export class AnswerBook {
  readonly #byRevision = new Map<string, BookedAnswer>();
  readonly #byArtifact = new WeakMap<Artifact, Promise<BookedAnswer>>();

  /**
   * Notes an answer.
   *
   * @param release the version.
   * @param artifact its file.
   * @param platform the machine it is for.
   * @returns the entry.
   */
  note(release: Release, artifact: Artifact, platform: Platform): Promise<BookedAnswer> {
    const known = this.#byArtifact.get(artifact);
    if (known !== undefined) return known;
    const noted = this.#add(release, artifact, platform);
    this.#byArtifact.set(artifact, noted);
    return noted;
  }

  async #add(release: Release, artifact: Artifact, platform: Platform): Promise<BookedAnswer> {
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

  /**
   * Finds what was answered, by its bytes.
   *
   * @param revision names them.
   * @returns the entry; `undefined` when this process did not answer it lately.
   */
  find(revision: string): BookedAnswer | undefined {
    return this.#byRevision.get(revision);
  }

  /**
   * Finds what was answered, by its release.
   *
   * @param id the registry's identifier.
   * @param tag the version.
   * @returns the entry; `undefined` when this process did not answer it lately.
   */
  findRelease(id: string, tag: string): BookedAnswer | undefined {
    return [...this.#byRevision.values()].find(
      ({ release }) => release.id === id && release.tag === tag,
    );
  }
}
