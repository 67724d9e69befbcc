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

/** The questions that dewy has about one repository. */
export interface GhrRepository {
  /** All tags and what they point at; `undefined` where there is no Git repository to look into. */
  tags(signal?: AbortSignal): Promise<{ tags: Map<string, string>; pages: number } | undefined>;
  /** All releases, drafts as well where the token shows them. */
  releases(signal?: AbortSignal): Promise<GitHubList<GitHubRelease>>;
  /** The published release of a tag; `undefined` when it has none. */
  release(tag: string, signal?: AbortSignal): Promise<GitHubRelease | undefined>;
  /** Whether a tag has a published release; throws unless the repository itself can be read. */
  exists(tag: string, signal?: AbortSignal): Promise<boolean>;
  /** Streams an asset, or a part of it. */
  download(
    asset: GitHubAsset,
    range: RangeOptions,
    signal?: AbortSignal,
  ): Promise<ReadableStream<Uint8Array>>;
  /** Leaves an audit record as an asset. */
  record(uploadUrl: string, deployment: Deployment, signal?: AbortSignal): Promise<void>;
  /** The address for uploads to a release. */
  uploadUrl(releaseId: string, signal?: AbortSignal): Promise<string>;
}

const TAGS = "refs/tags/";

/**
 * Puts the questions to GitHub.
 *
 * @param github the client.
 * @param owner the user or organisation.
 * @param repo the repository.
 * @returns the questions.
 */
export function ghrRepository(github: GitHubClient, owner: string, repo: string): GhrRepository {
  const base = `/repos/${encodeURIComponent(owner)}/${encodeURIComponent(repo)}`;

  /** https://docs.github.com/rest/releases/releases#get-a-release-by-tag-name */
  const release = async (tag: string, signal?: AbortSignal): Promise<GitHubRelease | undefined> => {
    const path = `${base}/releases/tags/${encodeURIComponent(tag)}`;
    const found = await github.get(path, releaseSchema, { missing: [404], signal });
    return found?.draft ? undefined : found;
  };
  const present = <T>(found: T | undefined, what: string): T => {
    if (found !== undefined) return found;
    throw new NotFoundError(`Cannot find ${what} of ${owner}/${repo} on GitHub`);
  };

  return {
    release,
    /** https://docs.github.com/rest/git/refs#list-matching-references: GitHub sends all tags on one page, others may not. */
    async tags(signal) {
      const path = `${base}/git/matching-refs/tags?per_page=100`;
      const refs = await github.list(path, refsSchema, { missing: [404, 409], signal });
      if (refs === undefined) return undefined;
      const tags = new Map<string, string>();
      for (const { ref, object } of refs.items) {
        if (ref.startsWith(TAGS)) tags.set(ref.slice(TAGS.length), object.sha);
      }
      return { tags, pages: refs.pages };
    },
    /** https://docs.github.com/rest/releases/releases#list-releases */
    async releases(signal) {
      const found = await github.list(`${base}/releases?per_page=100`, releasesSchema, { signal });
      return present(found, "the releases");
    },
    async exists(tag, signal) {
      if ((await release(tag, signal)) !== undefined) return true;
      // GitHub answers 404 for what a token may not see, too. Only who can still read the repository and
      // list its releases may believe that one is gone.
      present(await github.get(base, repositorySchema, { signal }), "the repository");
      await github.get(`${base}/releases?per_page=1`, releasesSchema, { signal });
      return false;
    },
    /** https://docs.github.com/rest/releases/assets#get-a-release-asset */
    download: (asset, range, signal) => {
      const path = `${base}/releases/assets/${asset.id}`;
      return github.download(path, { ...range, size: asset.size }, signal);
    },
    /** https://docs.github.com/rest/releases/assets#upload-a-release-asset */
    record(uploadUrl, deployment, signal) {
      const name = auditName(deployment);
      return github.upload(uploadUrl, name, auditText(name), signal);
    },
    async uploadUrl(releaseId, signal) {
      const path = `${base}/releases/${encodeURIComponent(releaseId)}`;
      return present(await github.get(path, releaseSchema, { signal }), "the release").upload_url;
    },
  };
}
