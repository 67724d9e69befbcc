import type { Clock } from "../core/clock.ts";
import { bytesToBase64, hexToBytes } from "../core/encoding.ts";
import { isPrivateHost } from "../core/private_address.ts";
import type { Artifact, Platform, Registry } from "../core/types.ts";
import { answerArtifact } from "../gateway/artifact_answer.ts";
import { revisionOf } from "../gateway/artifact_link.ts";
import { openRegistry, type RegistryOptions } from "../registries/open.ts";
import type { Answers } from "./answers.ts";
import { downloadable } from "./latest.ts";
import { Refusal } from "./response.ts";
import { keep, SharedWork } from "./shared_work.ts";

export interface DownloadOptions {
  answers: Answers;
  library: RegistryOptions;
  /** Absent if artifacts are streamed. */
  links: Links | undefined;
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
  const { links, cacheControl, library } = options;
  const registry = openRegistry(wanted.url, { ...library, platform: wanted.platform });
  const link = await links?.find(wanted.url, artifact, registry);
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

/** Shorter than any link is valid. */
const LINK_MS = 60_000;

interface Link {
  /** Absent if clients cannot use it. */
  address: string | undefined;
  until: number;
}

/** Addresses of artifacts. They are kept for a minute: otherwise clients could use up the rate limit of the registry. */
export class Links {
  readonly #known = new Map<string, Link>();
  readonly #work: SharedWork<Link>;
  readonly #clock: Clock;

  constructor(options: { clock: Clock; timeoutMs: number }) {
    this.#clock = options.clock;
    this.#work = new SharedWork(options);
  }

  async find(url: string, artifact: Artifact, registry: Registry): Promise<string | undefined> {
    const key = `${url} ${artifact.url}`;
    const known = this.#known.get(key);
    if (known !== undefined && this.#clock.now() < known.until) return known.address;
    const { address } = await this.#work.run(url, key, async () => {
      const asked = await registry.link?.(artifact);
      // What leads into a private network is of no use to a client.
      const isPublic = asked?.startsWith("https:") && !isPrivateHost(new URL(asked).hostname);
      const link = { address: isPublic ? asked : undefined, until: this.#clock.now() + LINK_MS };
      keep(this.#known, key, link);
      return link;
    });
    return address;
  }
}

async function findArtifact(wanted: Wanted, answers: Answers): Promise<Artifact> {
  const { url, platform, tag, file } = wanted;
  const newest = await answers.newest(url, platform, false);
  const isNewest = tag === undefined || (newest.kind === "ready" && newest.release.tag === tag);
  const resolution = isNewest ? newest : answers.recent(url, platform, tag);
  if (resolution?.kind === "pending") {
    const message = `${resolution.tag} has no artifact for this platform yet; try again later`;
    throw new Refusal(503, "not-found", message, { "retry-after": "60" });
  }
  if (resolution?.kind !== "ready") {
    const gone = "this version is not offered, or not any more; ask for /latest again";
    throw new Refusal(404, "not-found", resolution?.message ?? gone);
  }
  const found =
    file === undefined
      ? resolution.artifact
      : downloadable(resolution).find(({ name }) => name === file);
  if (found === undefined || found.url.startsWith("img://")) {
    throw new Refusal(404, "not-found", "this version has no such file to download; see /latest");
  }
  return found;
}
