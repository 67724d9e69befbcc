// Ways to find the newest release of a repository, bundled for workerd by bench/edge.ts.
import { Octokit } from "@octokit/rest";
import { type EntryOptions, latest, openRegistry } from "../../src/entries/github.ts";

const NEWEST = "v1.299.0";
const REGISTRY = "ghr://acme/app";

function optionsOf(url: string): EntryOptions {
  return {
    platform: { os: "linux", arch: "amd64" },
    env: { GITHUB_API_URL: url },
    token: "ghp_reader",
  };
}

export async function dewyLatest(url: string): Promise<unknown> {
  const answer = await latest(REGISTRY, optionsOf(url));
  return answer.kind === "ready" && answer.release.tag;
}

/** A store that other isolates share; its own requests are not counted. */
export async function dewyCached(url: string, store: string): Promise<unknown> {
  const cache = {
    get: async (key: string) => {
      const response = await fetch(`${store}/${encodeURIComponent(key)}`);
      const text = await response.text();
      return response.ok ? text : undefined;
    },
    put: async (key: string, value: string) => {
      await fetch(`${store}/${encodeURIComponent(key)}`, { method: "PUT", body: value });
    },
  };
  const options: object = { ...optionsOf(url), cache };
  const answer = await latest(REGISTRY, options);
  return answer.kind === "ready" && answer.release.tag;
}

export async function dewyTwenty(url: string): Promise<unknown> {
  return (await Promise.all(Array.from({ length: 20 }, () => dewyLatest(url)))).at(-1);
}

/** As an agent does at its first poll, and `latest` before it read single releases. */
export async function dewyListing(url: string): Promise<unknown> {
  const answer = await openRegistry(REGISTRY, optionsOf(url)).resolve();
  return answer.kind === "ready" && answer.release.tag;
}

/** The floor: what the platform itself needs for the requests of `latest`. */
export async function bareRequests(url: string): Promise<unknown> {
  const headers = { authorization: "Bearer ghp_reader", "user-agent": "benchmark" };
  const paths = ["git/matching-refs/tags?per_page=100", `releases/tags/${NEWEST}`];
  for (const path of paths) {
    await (await fetch(`${url}/repos/acme/app/${path}`, { headers })).json();
  }
  return NEWEST;
}

/** The newest by date, for want of an order of versions. */
export async function octokitListing(url: string): Promise<unknown> {
  const octokit = new Octokit({ auth: "ghp_reader", baseUrl: url });
  const parameters = { owner: "acme", repo: "app", per_page: 100 };
  const releases = await octokit.paginate(octokit.rest.repos.listReleases, parameters);
  return releases.find(({ draft, prerelease }) => !draft && !prerelease)?.tag_name;
}
