import { decodePath, encodePath, readQuery, type SplitUrl } from "../../core/url.ts";
import { badArtifactUrl } from "../driver.ts";

/** A file of a GitHub release. */
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

/**
 * Reads `ghr://owner/repo/tag/<tag>/<artifact>`.
 *
 * @param url the URL, taken apart.
 * @returns its parts.
 * @throws ConfigError when a part is missing or too many.
 */
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
