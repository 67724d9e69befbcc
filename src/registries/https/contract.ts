/**
 * The JSON that a handler and the `https://` registry exchange, version 1. Fields may be added within a version; readers
 * ignore those that they do not know. docs/handler.md documents it.
 *
 * @module
 */
import * as v from "valibot";
import type { ExplainedArtifact, ExplainedTag, NoneReason } from "../../core/types.ts";

export const CONTRACT_VERSION = 1;

/** A file of a release. */
export interface FileBody {
  name: string;
  /** Where its bytes are, relative to the URL of the answer. */
  url: string;
  /** In bytes. */
  size?: number | undefined;
  /** `sha256:<hex>`. */
  digest?: string | undefined;
}

/** The answer to `GET /latest`. */
export interface LatestBody {
  schema: 1;
  kind: "ready" | "pending" | "none";
  /** The platform of the question: `linux-amd64`. */
  platform: string;
  id?: string;
  tag?: string;
  /** When the version was published, in ISO 8601. */
  createdAt?: string | undefined;
  artifact?: FileBody;
  /** The small files of the release, such as signatures and checksums. */
  files?: readonly FileBody[] | undefined;
  /** Why there is nothing to deploy. */
  reason?: NoneReason;
  message?: string | undefined;
}

/** The answer to `GET /explain`. */
export interface ExplainBody extends LatestBody {
  tags: readonly ExplainedTag[];
  artifacts: readonly ExplainedArtifact[];
}

/** The body of `POST /report`. */
export interface ReportBody {
  schema: 1;
  id: string;
  tag: string;
  /** `server`, `assets` or `container`. */
  command: string;
  host: string;
  /** When it was deployed, in ISO 8601. */
  at: string;
  /** Why the deploy failed. */
  error?: string | undefined;
}

const timestamp = v.pipe(v.string(), v.isoTimestamp());
const file = v.object({
  name: v.pipe(v.string(), v.nonEmpty(), v.maxLength(1024)),
  url: v.pipe(v.string(), v.nonEmpty()),
  size: v.optional(v.pipe(v.number(), v.safeInteger(), v.minValue(0))),
  digest: v.optional(v.pipe(v.string(), v.regex(/^[a-z0-9]+:[0-9a-f]+$/))),
});
const candidate = { chosen: v.boolean(), reason: v.string() };

export const answerSchema = v.object({
  kind: v.picklist(["ready", "pending", "none"]),
  id: v.optional(v.string(), ""),
  tag: v.optional(v.string(), ""),
  createdAt: v.optional(timestamp),
  artifact: v.optional(file),
  files: v.optional(v.array(file)),
  reason: v.optional(
    v.picklist(["empty", "no-version", "filtered", "unknown-tag", "artifact-missing"]),
  ),
  message: v.optional(v.string()),
  tags: v.optional(v.array(v.object({ tag: v.string(), ...candidate }))),
  artifacts: v.optional(v.array(v.object({ name: v.string(), ...candidate }))),
});

/** An answer as a client reads it. */
export type ReadAnswer = v.InferOutput<typeof answerSchema>;

const line = (max: number) =>
  v.pipe(v.string(), v.nonEmpty(), v.maxLength(max), v.regex(/^\P{Cc}+$/u));

export const reportSchema = v.object({
  schema: v.literal(CONTRACT_VERSION),
  id: v.pipe(v.string(), v.maxLength(1024)),
  tag: line(256),
  command: v.picklist(["server", "assets", "container"]),
  host: line(255),
  at: timestamp,
  error: v.optional(v.pipe(v.string(), v.maxLength(4096))),
});
