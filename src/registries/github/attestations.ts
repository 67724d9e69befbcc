import * as v from "valibot";
import { GitHubClient, type GitHubContext } from "./client.ts";

const ATTESTATIONS = v.object({
  attestations: v.optional(v.array(v.object({ bundle: v.nullish(v.unknown()) })), []),
});

/**
 * Returns a function that gets the Sigstore bundles of the attestations about a file, the newest first. GitHub answers 404
 * if there are none, or if the credentials do not show them.
 * https://docs.github.com/rest/repos/attestations#list-attestations
 */
export function githubAttestations(
  context: GitHubContext,
): (repository: string, sha256: string, signal: AbortSignal) => Promise<readonly unknown[]> {
  let client: GitHubClient | undefined;
  return async (repository, sha256, signal) => {
    client ??= new GitHubClient(context);
    const [owner = "", repo = ""] = repository.split("/");
    const path = `/repos/${encodeURIComponent(owner)}/${encodeURIComponent(repo)}/attestations/sha256:${sha256}?per_page=100`;
    const found = await client.get(path, ATTESTATIONS, { missing: [404], signal });
    return (found?.attestations ?? []).map(({ bundle }) => bundle);
  };
}
