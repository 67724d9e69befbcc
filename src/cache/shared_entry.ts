import * as v from "valibot";
import type { ReadyResolution, Resolution } from "../core/types.ts";
import { parseVersion } from "../version/version.ts";

/** The answer of a registry, as machines share it. */
export interface SharedAnswer {
  resolution: Resolution;
  /** The tags that the registry lists; empty if it does not list them. */
  tags: readonly string[];
}

/** An object with the answer to one question. Times are in milliseconds since the epoch, by the clock of the writer. */
export interface SharedEntry {
  answer?: SharedAnswer | undefined;
  /** When the registry gave the answer. */
  fetchedAt?: number | undefined;
  /** How long the registry was asked: the answer may be that much older than the object. */
  askedMs?: number | undefined;
  /** `failed`: the registry did not answer since, so the answer counts for one more window. `expired`: ask again. */
  state: "fresh" | "failed" | "expired";
  /** The machine that asks the registry now. */
  claim?: { by: string; at: number } | undefined;
}

const text = v.pipe(v.string(), v.maxLength(4096));
const optionalText = v.optional(text);
const time = v.pipe(v.string(), v.maxLength(64), v.isoTimestamp());
const bytes = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

const artifactSchema = v.object({
  name: text,
  url: text,
  size: v.optional(bytes),
  digest: optionalText,
  revision: optionalText,
});

const reasons = [
  "empty",
  "no-version",
  "filtered",
  "unknown-tag",
  "unchanged",
  "artifact-missing",
] as const;

const resolutionSchema = v.variant("kind", [
  v.object({
    kind: v.literal("ready"),
    release: v.object({ id: text, tag: text, createdAt: v.optional(time) }),
    artifact: artifactSchema,
    notes: v.optional(v.array(text)),
    isNamed: v.optional(v.boolean()),
    files: v.optional(v.array(artifactSchema)),
  }),
  v.object({
    kind: v.literal("pending"),
    tag: text,
    reason: v.literal("artifact-missing"),
    since: v.optional(time),
    message: optionalText,
  }),
  v.object({
    kind: v.literal("none"),
    reason: v.picklist(reasons),
    message: text,
    tag: optionalText,
  }),
]);

/** Other versions of dewy write and read all but `dewy`, which has what they do not know. */
const entrySchema = v.object({
  fetched_at: text,
  locked_at: text,
  locked_by: optionalText,
  dewy: v.optional(
    v.object({
      resolution: resolutionSchema,
      tags: v.array(text),
      state: v.optional(v.picklist(["failed", "expired"])),
      asked_ms: v.optional(v.number()),
    }),
  ),
});

type StoredResolution = v.InferOutput<typeof resolutionSchema>;

const NEVER = "0001-01-01T00:00:00Z";

export function formatEntry({ answer, fetchedAt, askedMs, state, claim }: SharedEntry): string {
  const ready = answer?.resolution.kind === "ready" ? answer.resolution : undefined;
  return JSON.stringify({
    response: ready && responseOf(ready),
    fetched_at: formatTime(fetchedAt),
    locked_at: formatTime(claim?.at),
    locked_by: claim?.by,
    dewy: answer && {
      resolution: storedResolution(answer.resolution),
      tags: answer.tags,
      state: state === "fresh" ? undefined : state,
      asked_ms: askedMs,
    },
  });
}

/** `undefined` if it cannot be read, or if a tag in it is not a version. */
export function parseEntry(body: Uint8Array<ArrayBuffer>, calver: string): SharedEntry | undefined {
  const found = v.safeParse(entrySchema, parseJson(body));
  if (!found.success) return undefined;
  const { fetched_at, locked_at, locked_by = "", dewy } = found.output;
  const lockedAt = parseTime(locked_at);
  const resolution = dewy && liveResolution(dewy.resolution, calver);
  if (dewy !== undefined && resolution === undefined) return undefined;
  return {
    answer: dewy && resolution && { resolution, tags: dewy.tags },
    fetchedAt: parseTime(fetched_at),
    askedMs: dewy?.asked_ms,
    state: dewy?.state ?? "fresh",
    claim: lockedAt === undefined ? undefined : { by: locked_by, at: lockedAt },
  };
}

function parseJson(body: Uint8Array<ArrayBuffer>): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  } catch {
    return undefined;
  }
}

function responseOf({ release, artifact }: ReadyResolution) {
  return {
    ID: release.id,
    Tag: release.tag,
    ArtifactURL: artifact.url,
    CreatedAt: release.createdAt === undefined ? null : formatTime(release.createdAt.getTime()),
    Slot: release.slot ?? "",
  };
}

function storedResolution(resolution: Resolution): StoredResolution {
  if (resolution.kind === "none") {
    const { kind, reason, message, tag } = resolution;
    return { kind, reason, message, tag };
  }
  if (resolution.kind === "pending") {
    const { kind, tag, reason, since, message } = resolution;
    return { kind, tag, reason, since: since?.toISOString(), message };
  }
  const { kind, release, artifact, notes, isNamed, files } = resolution;
  const { id, tag, createdAt } = release;
  return {
    kind,
    release: { id, tag, createdAt: createdAt?.toISOString() },
    artifact,
    notes: notes && [...notes],
    isNamed,
    files: files && [...files],
  };
}

function liveResolution(stored: StoredResolution, calver: string): Resolution | undefined {
  if (stored.kind === "none") return stored;
  if (stored.kind === "pending") return { ...stored, since: dateOf(stored.since) };
  const { id, tag, createdAt } = stored.release;
  const version = parseVersion(tag, { calver });
  if (version === undefined) return undefined;
  const slot = version.buildMetadata || undefined;
  return { ...stored, release: { id, tag, version, createdAt: dateOf(createdAt), slot } };
}

function dateOf(text: string | undefined): Date | undefined {
  return text === undefined ? undefined : new Date(text);
}

function formatTime(ms: number | undefined): string {
  if (ms === undefined) return NEVER;
  return new Date(ms).toISOString().replace(/\.?0*Z$/, "Z");
}

function parseTime(text: string): number | undefined {
  const ms = text === NEVER ? Number.NaN : Date.parse(text);
  return Number.isNaN(ms) ? undefined : ms;
}
