import type { Artifact, Candidates, Platform, Resolution } from "../core/types.ts";
import { formatPlatformSegment } from "../platform/platform_segment.ts";
import {
  CONTRACT_VERSION,
  type ExplainBody,
  type FileBody,
  type LatestBody,
} from "../registries/https/contract.ts";

const MAX_FILES = 64;
const MAX_FILE_BYTES = 4 * 2 ** 20;

/** Makes the answer to `/latest`. URLs are relative, so that it does not depend on the host that was asked for. */
export function latestBody(
  resolution: Resolution,
  platform: Platform,
  registry: string | undefined,
): LatestBody {
  const common = { schema: CONTRACT_VERSION, platform: formatPlatformSegment(platform) } as const;
  if (resolution.kind !== "ready") {
    const { kind, tag, reason, message } = resolution;
    const since = resolution.kind === "pending" ? resolution.since : undefined;
    return { ...common, kind, tag, createdAt: since?.toISOString(), reason, message };
  }
  const { release, artifact } = resolution;
  const { id, tag, createdAt } = release;
  const describe = (file: Artifact): FileBody => ({
    name: file.name,
    url: downloadPath(file, tag, platform, registry),
    size: file.size,
    digest: file.digest,
  });
  return {
    ...common,
    kind: "ready",
    id,
    tag,
    createdAt: createdAt?.toISOString(),
    artifact: describe(artifact),
    files: downloadable(resolution).map(describe),
  };
}

export function explainBody(
  resolution: Resolution,
  { tags, artifacts }: Candidates,
  platform: Platform,
  registry: string | undefined,
): ExplainBody {
  // Drafts are not public, and only their authors know them.
  const known = tags.filter(({ reason }) => reason !== "draft");
  return { ...latestBody(resolution, platform, registry), tags: known, artifacts };
}

/** The artifact, and the files beside it that can be signatures, bundles or checksums. */
export function downloadable(resolution: Extract<Resolution, { kind: "ready" }>): Artifact[] {
  const { artifact, files = [] } = resolution;
  const small = files.filter(
    ({ name, size = 0 }) => size <= MAX_FILE_BYTES && name !== artifact.name,
  );
  return [artifact, ...small.slice(0, MAX_FILES)];
}

function downloadPath(
  { name, url }: Artifact,
  tag: string,
  platform: Platform,
  registry: string | undefined,
): string {
  if (url.startsWith("img://")) return url;
  const query = new URLSearchParams({
    ...(registry !== undefined && { registry }),
    tag,
    file: name,
  });
  return `download/${formatPlatformSegment(platform)}?${query}`;
}
