import type { Resolution } from "../../core/types.ts";
import { redactUrl } from "../../core/url.ts";

/** A resolution as scripts read it; what is not known is `null`. */
export interface Answer {
  /** Only `ready` can be deployed. */
  kind: "ready" | "pending" | "none";
  /** The tag as the registry spells it. */
  tag: string | null;
  /** The tag without its optional `v`. */
  version: string | null;
  /** The artifact's file name. */
  artifact: string | null;
  /** The artifact's address. */
  url: string | null;
  /** The artifact's bytes. */
  size: number | null;
  /** What the registry says of the bytes: `sha256:…`. */
  digest: string | null;
  /** When it was published, as RFC 3339. */
  createdAt: string | null;
  /** The build metadata of the tag. */
  slot: string | null;
  /** What is worth knowing about the choice of the artifact; only of `ready`, where there is anything. */
  notes?: readonly string[];
  /** Why nothing is ready; only of `pending` and `none`. */
  reason?: string;
  /** The same for people; of `none`, and of `pending` where waiting alone may not help. */
  message?: string;
  /** When the pending version was published; only of `pending`. */
  since?: string | null;
}

const NOTHING = {
  tag: null,
  version: null,
  artifact: null,
  url: null,
  size: null,
  digest: null,
  createdAt: null,
  slot: null,
};

/**
 * Writes a resolution as the JSON of `dewy check`.
 *
 * @param resolution the registry's answer.
 * @returns plain data.
 */
export function toAnswer(resolution: Resolution): Answer {
  switch (resolution.kind) {
    case "ready": {
      const { release, artifact, notes } = resolution;
      return {
        kind: "ready",
        tag: release.tag,
        version: withoutV(release.tag),
        artifact: artifact.name,
        url: redactUrl(artifact.url),
        size: artifact.size ?? null,
        digest: artifact.digest ?? null,
        createdAt: release.createdAt?.toISOString() ?? null,
        slot: release.slot ?? null,
        ...(notes === undefined ? {} : { notes }),
      };
    }
    case "pending":
      return {
        kind: "pending",
        ...NOTHING,
        tag: resolution.tag,
        version: withoutV(resolution.tag),
        reason: resolution.reason,
        ...(resolution.message === undefined ? {} : { message: resolution.message }),
        since: resolution.since?.toISOString() ?? null,
      };
    case "none":
      return {
        kind: "none",
        ...NOTHING,
        tag: resolution.tag ?? null,
        version: resolution.tag === undefined ? null : withoutV(resolution.tag),
        reason: resolution.reason,
        message: resolution.message,
      };
  }
}

function withoutV(tag: string): string {
  return tag.replace(/^v/, "");
}
