import { NotFoundError } from "../../core/error.ts";
import type { Deployment } from "../../core/types.ts";
import type { RangeOptions } from "../../http/range.ts";
import { auditName, auditText } from "../audit.ts";
import type { GitHubClient, GitHubList } from "./client.ts";
import {
  type GitHubAsset,
  type GitHubRelease,
  refsSchema,
  releaseSchema,
  releasesSchema,
  repositorySchema,
} from "./schema.ts";

const TAGS = "refs/tags/";
export class GitHubRepository {
  readonly #github: GitHubClient;
  readonly #name: string;
  readonly #path: string;

  constructor(github: GitHubClient, owner: string, repo: string) {
    this.#github = github;
    this.#name = `${owner}/${repo}`;
    this.#path = `/repos/${encodeURIComponent(owner)}/${encodeURIComponent(repo)}`;
  }

  /**
   * All tags and what they point at; `undefined` where there is no Git repository to look into. GitHub sends all tags on one
   * page, other servers may not. https://docs.github.com/rest/git/refs#list-matching-references
   */
  async tags(
    signal?: AbortSignal,
  ): Promise<{ tags: Map<string, string>; pages: number } | undefined> {
    const path = `${this.#path}/git/matching-refs/tags?per_page=100`;
    const refs = await this.#github.list(path, refsSchema, { missing: [404, 409], signal });
    if (refs === undefined) return undefined;
    const tags = new Map<string, string>();
    for (const { ref, object } of refs.items) {
      if (ref.startsWith(TAGS)) tags.set(ref.slice(TAGS.length), object.sha);
    }
    return { tags, pages: refs.pages };
  }

  /** All releases, and drafts if the token shows them. https://docs.github.com/rest/releases/releases#list-releases */
  async releases(signal?: AbortSignal): Promise<GitHubList<GitHubRelease>> {
    const path = `${this.#path}/releases?per_page=100`;
    return this.#present(await this.#github.list(path, releasesSchema, { signal }), "the releases");
  }

  /**
   * The published release of a tag; `undefined` if it has none.
   * https://docs.github.com/rest/releases/releases#get-a-release-by-tag-name
   */
  async release(tag: string, signal?: AbortSignal): Promise<GitHubRelease | undefined> {
    const path = `${this.#path}/releases/tags/${encodeURIComponent(tag)}`;
    const found = await this.#github.get(path, releaseSchema, { missing: [404], signal });
    return found?.draft ? undefined : found;
  }

  /** Whether a tag has a published release; throws unless the repository itself can be read. */
  async exists(tag: string, signal?: AbortSignal): Promise<boolean> {
    if ((await this.release(tag, signal)) !== undefined) return true;
    // GitHub answers 404 for what a token may not see, too. A release counts as gone only if the repository can still be
    // read and its releases listed.
    const repository = await this.#github.get(this.#path, repositorySchema, { signal });
    this.#present(repository, "the repository");
    await this.#github.get(`${this.#path}/releases?per_page=1`, releasesSchema, { signal });
    return false;
  }

  /** https://docs.github.com/rest/releases/assets#get-a-release-asset */
  download(
    asset: GitHubAsset,
    range: RangeOptions,
    signal?: AbortSignal,
  ): Promise<ReadableStream<Uint8Array>> {
    const path = `${this.#path}/releases/assets/${asset.id}`;
    return this.#github.download(path, { ...range, size: asset.size }, signal);
  }

  link(asset: GitHubAsset, signal?: AbortSignal): Promise<string | undefined> {
    return this.#github.locate(`${this.#path}/releases/assets/${asset.id}`, signal);
  }

  /** Leaves an audit record as an asset. https://docs.github.com/rest/releases/assets#upload-a-release-asset */
  record(uploadUrl: string, deployment: Deployment, signal?: AbortSignal): Promise<void> {
    const name = auditName(deployment);
    return this.#github.upload(uploadUrl, name, auditText(name), signal);
  }

  async uploadUrl(releaseId: string, signal?: AbortSignal): Promise<string> {
    const path = `${this.#path}/releases/${encodeURIComponent(releaseId)}`;
    const found = await this.#github.get(path, releaseSchema, { signal });
    return this.#present(found, "the release").upload_url;
  }

  #present<T>(found: T | undefined, what: string): T {
    if (found !== undefined) return found;
    throw new NotFoundError(`Cannot find ${what} of ${this.#name} on GitHub`);
  }
}
