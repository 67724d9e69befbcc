import { bytesToBase64, hexToBytes } from "../core/encoding.ts";
import type { Artifact, Platform } from "../core/types.ts";
import { answerArtifact } from "../gateway/artifact_answer.ts";
import { revisionOf } from "../gateway/artifact_link.ts";
import { openRegistry, type RegistryOptions } from "../registries/open.ts";
import type { Answers } from "./answers.ts";
import { downloadable } from "./latest.ts";
import { refusal } from "./response.ts";

export interface DownloadOptions {
  answers: Answers;
  library: RegistryOptions;
  redirect: boolean;
  cacheControl: string;
}

export interface Wanted {
  url: string;
  platform: Platform;
  /** Defaults to the newest version. */
  tag: string | undefined;
  /** Defaults to the artifact for the platform. */
  file: string | undefined;
}

/**
 * Redirects to an artifact, or streams it. Only versions that `/latest` has answered with can be downloaded, so a client
 * can neither choose others nor make the handler look for them.
 */
export async function download(
  request: Request,
  wanted: Wanted,
  options: DownloadOptions,
): Promise<Response> {
  const artifact = await findArtifact(wanted, options.answers);
  const { redirect, cacheControl, library } = options;
  const registry = openRegistry(wanted.url, { ...library, platform: wanted.platform });
  const link = redirect ? await registry.link?.(artifact, { signal: request.signal }) : undefined;
  if (link !== undefined) {
    return new Response(null, {
      status: 302,
      headers: { location: link, "cache-control": "no-store", "referrer-policy": "no-referrer" },
    });
  }
  const { name, size, digest } = artifact;
  const revision = await revisionOf([
    wanted.url,
    name,
    artifact.url,
    size,
    digest,
    artifact.revision,
  ]);
  const response = await answerArtifact(request, artifact, revision, (open) =>
    registry.open(artifact, open),
  );
  response.headers.set("cache-control", `${cacheControl}, no-transform`);
  const [, hex] = /^sha256:([0-9a-f]{64})$/.exec(digest ?? "") ?? [];
  // https://www.rfc-editor.org/rfc/rfc9530#section-3
  if (hex !== undefined) {
    response.headers.set("repr-digest", `sha-256=:${bytesToBase64(hexToBytes(hex))}:`);
  }
  return response;
}

async function findArtifact(wanted: Wanted, answers: Answers): Promise<Artifact> {
  const { url, platform, tag, file } = wanted;
  const newest = await answers.newest(url, platform, false);
  const isNewest = tag === undefined || (newest.kind === "ready" && newest.release.tag === tag);
  const resolution = isNewest ? newest : answers.recent(url, platform, tag);
  if (resolution?.kind === "pending") {
    const message = `${resolution.tag} has no artifact for this platform yet; try again later`;
    throw refusal(503, "not-found", message, { "retry-after": "60" });
  }
  if (resolution?.kind !== "ready") {
    const gone = "this version is not offered, or not any more; ask for /latest again";
    throw refusal(404, "not-found", resolution?.message ?? gone);
  }
  const found =
    file === undefined
      ? resolution.artifact
      : downloadable(resolution).find(({ name }) => name === file);
  if (found === undefined || found.url.startsWith("img://")) {
    throw refusal(404, "not-found", "this version has no such file to download; see /latest");
  }
  return found;
}
