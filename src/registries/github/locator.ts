import { decodePath, encodePath, readQuery, type SplitUrl } from "../../core/url.ts";
import {
  badArtifactUrl,
  badRegistryUrl,
  FILE_OPTIONS,
  type LocatorBase,
  readRegistryQuery,
} from "../driver.ts";

export const GHR_SYNTAX = "ghr://<owner>/<repo>";

/** A repository on GitHub or GitHub Enterprise. */
export interface GhrLocator extends LocatorBase {
  /** The kind of registry. */
  type: "ghr";
  /** The user or organisation. */
  owner: string;
  /** The repository. */
  repo: string;
}

// https://docs.github.com/rest/repos/repos: names are ASCII letters, digits, "-", "_" and ".".
const NAME = /^[A-Za-z0-9_.-]{1,100}$/;

/** `https://github.com/owner/repo`, also with more behind it: people copy the address of a page. */
export function ghrFromWebAddress({ hostname, pathname }: URL): string | undefined {
  if (!/^(www\.)?github\.com$/.test(hostname)) return undefined;
  const [, owner = "", repo = ""] = /^\/([^/]+)\/([^/]+?)(\.git)?(\/|$)/.exec(pathname) ?? [];
  return NAME.test(owner) && NAME.test(repo) ? `ghr://${owner}/${repo}` : undefined;
}

export function parseGhrUrl(url: SplitUrl): GhrLocator {
  const { common } = readRegistryQuery("ghr", url, FILE_OPTIONS);
  const [repo = "", ...rest] = url.path.slice(1).split("/");
  const owner = decodePath(url.host, url, "--registry");
  const name = decodePath(repo, url, "--registry");
  if (owner === "") throw badRegistryUrl(url, "owner is required", GHR_SYNTAX);
  if (name === "") throw badRegistryUrl(url, "repo is required", GHR_SYNTAX);
  if (rest.some((segment) => segment !== "")) {
    throw badRegistryUrl(url, "the path goes on after the repository", GHR_SYNTAX);
  }
  for (const [part, value] of [
    ["owner", owner],
    ["repo", name],
  ] as const) {
    if (!NAME.test(value) || value === "." || value === "..") {
      throw badRegistryUrl(url, `"${value}" is not a valid ${part} name`, GHR_SYNTAX);
    }
  }
  return { ...common, owner, repo: name };
}

export interface GhrArtifact {
  type: "ghr";
  owner: string;
  repo: string;
  tag: string;
  artifact: string;
}

/** @returns `ghr://owner/repo/tag/<tag>/<artifact>`. */
export function formatGhrArtifactUrl(a: Omit<GhrArtifact, "type">): string {
  const part = (text: string): string => encodePath(text, false);
  return `ghr://${part(a.owner)}/${part(a.repo)}/tag/${part(a.tag)}/${part(a.artifact)}`;
}

/** Reads `ghr://owner/repo/tag/<tag>/<artifact>`. Throws a ConfigError if a part is missing or superfluous. */
export function parseGhrArtifactUrl(url: SplitUrl): GhrArtifact {
  const syntax = "ghr://<owner>/<repo>/tag/<tag>/<artifact>";
  readQuery(url, [], "the artifact URL");
  const parts = [url.host, ...url.path.slice(1).split("/")].map((part) =>
    decodePath(part, url, "the artifact URL"),
  );
  const [owner = "", repo = "", word, tag = "", artifact = ""] = parts;
  if (parts.length !== 5 || word !== "tag" || parts.some((part) => part === "")) {
    throw badArtifactUrl(url, syntax);
  }
  return { type: "ghr", owner, repo, tag, artifact };
}
