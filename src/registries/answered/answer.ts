import { DewyError, RemoteError } from "../../core/error.ts";
import type {
  Artifact,
  Candidates,
  Platform,
  Resolution,
  ResolveOptions,
  Version,
} from "../../core/types.ts";
import { redactUrl } from "../../core/url.ts";
import { printable } from "../../resolve/message.ts";
import { GRACE_MS, unchanged } from "../../resolve/resolve.ts";
import { parseVersion } from "../../version/version.ts";
import type { LocatorBase } from "../driver.ts";
import { type AnsweredFile, type ArtifactRules, readAnsweredArtifact } from "./artifact.ts";

/** The version that a server has chosen. */
export interface ServerAnswer {
  /** The server's identifier of the release. */
  id: string;
  /** The tag; empty if there is none. */
  tag: string;
  /** The artifact; absent if it does not exist yet. */
  artifact?: AnsweredFile | undefined;
  /** The release's small files, such as signatures. */
  files?: readonly AnsweredFile[] | undefined;
  /** When it was published. */
  createdAt?: Date | undefined;
}

export interface AnswerContext {
  locator: LocatorBase;
  rules: ArtifactRules;
  /** The machine that was asked for, in Go's spelling. */
  platform: Platform;
  /** Milliseconds since the Unix epoch. */
  now: number;
  exclude: ResolveOptions["exclude"];
  /** The only tag that will do; neither the slot nor `exclude` applies to it. */
  wanted: ResolveOptions["tag"];
  /** The tag that the caller has. */
  since?: ResolveOptions["since"];
}

const MAX_TAG_LENGTH = 256;
const MAX_ID_LENGTH = 1024;

/**
 * Turns a server's answer into a resolution. The server chooses: its tag need not be a version, and no policy applies
 * but the slot and the tags to exclude.
 */
export function resolveAnswer(answer: ServerAnswer, context: AnswerContext): Resolution {
  const { locator, platform, now } = context;
  const { id, tag, artifact, createdAt } = answer;
  if (tag === "" && artifact === undefined) return nothing(context);
  if (tag === "" || tag.length > MAX_TAG_LENGTH || /\p{Cc}/u.test(tag)) {
    throw malformed(locator, "tag", "it is empty, too long, or has control characters");
  }
  if (id.length > MAX_ID_LENGTH) throw malformed(locator, "id", "it is too long");
  const version = readVersion(tag, locator.calver);
  if (context.wanted !== undefined && context.wanted !== tag) {
    return unknownTag(`the server answers ${tag}`, context);
  }
  const unwanted = context.wanted === undefined ? whyUnwanted(tag, version, context) : undefined;
  if (unwanted !== undefined) {
    const message = `Cannot use the answer of ${locator.url}: ${unwanted}; the server chooses the version`;
    return { kind: "none", reason: "filtered", tag, message };
  }
  if (context.wanted === undefined && context.since === tag) return unchanged(tag, locator);
  if (artifact === undefined) {
    if (createdAt !== undefined && now - createdAt.getTime() < GRACE_MS) {
      return { kind: "pending", tag, reason: "artifact-missing", since: createdAt };
    }
    const message = `Cannot resolve "${locator.url}": the server names no artifact of ${tag} for ${platform.os}/${platform.arch}`;
    return { kind: "none", reason: "artifact-missing", tag, message };
  }
  return {
    kind: "ready",
    release: {
      id,
      tag,
      version,
      createdAt,
      slot: version.buildMetadata || undefined,
    },
    artifact: readArtifact(artifact, context),
    files: answer.files?.map((file) => readArtifact(file, context)),
  };
}

function nothing(context: AnswerContext): Resolution {
  const { locator, platform } = context;
  const why = `the server has no version for ${platform.os}/${platform.arch}`;
  if (context.wanted !== undefined) return unknownTag(why, context);
  return { kind: "none", reason: "empty", message: `Cannot resolve "${locator.url}": ${why}` };
}

function unknownTag(why: string, { locator, wanted = "" }: AnswerContext): Resolution {
  const asked = printable(wanted);
  const message =
    `Cannot find the tag "${asked}" in "${locator.url}": ${why}, ` +
    `and a ${locator.type}:// server offers only its current version; choose ${asked} on the server`;
  return { kind: "none", reason: "unknown-tag", tag: wanted, message };
}

/** A server may use tags that are not versions; the part after `+` is still the slot. */
function readVersion(tag: string, calver: string): Version {
  const [, buildMetadata = ""] = /\+(.*)$/s.exec(tag) ?? [];
  return (
    parseVersion(tag, { calver }) ?? {
      original: tag,
      v: "",
      segments: [],
      preRelease: "",
      buildMetadata,
    }
  );
}

function whyUnwanted(tag: string, version: Version, context: AnswerContext): string | undefined {
  const { slot } = context.locator;
  if (slot !== "" && version.buildMetadata !== slot) {
    const own = version.buildMetadata === "" ? "no slot" : `slot "${version.buildMetadata}"`;
    return `${tag} is of ${own}, not of slot "${slot}"`;
  }
  return new Set(context.exclude ?? []).has(tag) ? `${tag} is excluded` : undefined;
}

function readArtifact(file: AnsweredFile, { locator, rules }: AnswerContext): Artifact {
  try {
    return readAnsweredArtifact(file, rules);
  } catch (error) {
    if (!(error instanceof DewyError) && !(error instanceof URIError)) throw error;
    throw malformed(locator, `artifact_url "${redactUrl(file.url)}"`, error.message, error);
  }
}

export function malformed(
  locator: LocatorBase,
  field: string,
  problem: string,
  cause?: unknown,
): RemoteError {
  return new RemoteError(`Cannot use the answer of ${locator.url}: ${field}: ${problem}`, {
    url: locator.url,
    retryable: false,
    cause,
  });
}

export function explainAnswer(
  locator: LocatorBase,
  platform: Platform,
  resolution: Resolution,
): Candidates {
  const registry = locator.url;
  const reason = "the server chose it";
  if (resolution.kind === "ready") {
    const { release, artifact } = resolution;
    return {
      registry,
      platform,
      tags: [{ tag: release.tag, chosen: true, reason }],
      artifacts: [{ name: artifact.name, chosen: true, reason }],
    };
  }
  const { tag, message = reason } = resolution;
  const chosen = resolution.reason === "artifact-missing";
  const tags = tag === undefined ? [] : [{ tag, chosen, reason: chosen ? reason : message }];
  return { registry, platform, tags, artifacts: [] };
}
