import { DewyError, RemoteError } from "../../core/error.ts";
import type { Platform, Resolution, ResolveOptions, Version } from "../../core/types.ts";
import { redactUrl } from "../../core/url.ts";
import { printable } from "../../resolve/message.ts";
import { GRACE_MS } from "../../resolve/resolve.ts";
import { parseVersion } from "../../version/version.ts";
import { type AnsweredArtifact, type ArtifactRules, readAnsweredArtifact } from "./artifact.ts";
import type { GrpcAnswer } from "./channel.ts";
import type { GrpcLocator } from "./locator.ts";

export interface AnswerContext {
  locator: GrpcLocator;
  rules: ArtifactRules;
  /** The machine that was asked for, in Go's spelling. */
  platform: Platform;
  /** Milliseconds since the Unix epoch. */
  now: number;
  exclude: ResolveOptions["exclude"];
  /** The only tag that will do; neither the slot nor `exclude` applies to it. */
  wanted: ResolveOptions["tag"];
}

const MAX_TAG_LENGTH = 256;
const MAX_ID_LENGTH = 1024;

/**
 * Turns a server's answer into a resolution. The server chooses: its tag need not be a version, and no policy applies
 * but the slot and the tags to exclude.
 */
export function resolveAnswer(answer: GrpcAnswer, context: AnswerContext): Resolution {
  const { locator, platform, now } = context;
  const { id, tag } = answer;
  if (tag === "" && answer.artifactUrl === "") return nothing(context);
  if (tag === "" || tag.length > MAX_TAG_LENGTH || /\p{Cc}/u.test(tag)) {
    throw malformed(locator, "tag", "it is empty, too long, or has control characters");
  }
  if (id.length > MAX_ID_LENGTH) throw malformed(locator, "id", "it is too long");
  const createdAt = readTime(answer, locator);
  const version = readVersion(tag, locator.calver);
  if (context.wanted !== undefined && context.wanted !== tag) {
    return unknownTag(`the server answers ${tag}`, context);
  }
  const unwanted = context.wanted === undefined ? whyUnwanted(tag, version, context) : undefined;
  if (unwanted !== undefined) {
    const message = `Cannot use the answer of ${locator.url}: ${unwanted}; the server chooses the version`;
    return { kind: "none", reason: "filtered", tag, message };
  }
  if (answer.artifactUrl === "") {
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
    artifact: readArtifact(answer.artifactUrl, context),
    files: answer.fileUrls?.map((url) => readArtifact(url, context)),
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
    `and a grpc:// server offers only its current version; choose ${asked} on the server`;
  return { kind: "none", reason: "unknown-tag", tag: wanted, message };
}

function readTime({ createdAt }: GrpcAnswer, locator: GrpcLocator): Date | undefined {
  if (createdAt === undefined) return undefined;
  const date = new Date(Number(createdAt.seconds) * 1000 + createdAt.nanos / 1e6);
  if (!Number.isNaN(date.getTime())) return date;
  throw malformed(locator, "created_at", `${createdAt.seconds} s is not a valid time`);
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

function readArtifact(url: string, { locator, rules }: AnswerContext): AnsweredArtifact {
  try {
    return readAnsweredArtifact(url, rules);
  } catch (error) {
    if (!(error instanceof DewyError) && !(error instanceof URIError)) throw error;
    throw malformed(locator, `artifact_url "${redactUrl(url)}"`, error.message, error);
  }
}

function malformed(
  locator: GrpcLocator,
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
