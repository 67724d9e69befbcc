import { driverEnvironment } from "../../core/environment.ts";
import type { GitHubEvidence } from "../../core/proof.ts";
import { splitUrl } from "../../core/url.ts";
import type { GitHubContext } from "./client.ts";
import { ghr } from "./driver.ts";

/** Asks GitHub for attestations, with the credentials of `ghr://`. The client is loaded at the first question. */
export function githubEvidence(registry: string | undefined, io: GitHubContext): GitHubEvidence {
  const context = { ...io, env: driverEnvironment(io.env, ghr.environment) };
  let list: GitHubEvidence["list"] | undefined;
  return {
    repository: registry === undefined ? undefined : repositoryOf(registry),
    async list(repository, sha256, signal) {
      if (list === undefined) {
        const { githubAttestations } = await import("./attestations.ts");
        list ??= githubAttestations(context);
      }
      return list(repository, sha256, signal);
    },
  };
}

function repositoryOf(registry: string): string | undefined {
  const url = splitUrl(registry, "--registry");
  if (url.scheme !== ghr.scheme) return undefined;
  const { owner, repo } = ghr.parse(url);
  return `${owner}/${repo}`;
}
