import type { Resolution } from "../../core/types.ts";
import { redactUrl } from "../../core/url.ts";

/** The JSON of `dewy check`; unknown values are `null`. */
export interface Answer {
  kind: "ready" | "pending" | "none";
  /** The tag as the registry spells it. */
  tag: string | null;
  /** The tag without its optional `v`. */
  version: string | null;
  /** The artifact's file name. */
  artifact: string | null;
  url: string | null;
  /** Bytes. */
  size: number | null;
  /** `sha256:…` or another digest that the registry states. */
  digest: string | null;
  /** When it was published, as RFC 3339. */
  createdAt: string | null;
  /** The build metadata of the tag. */
  slot: string | null;
  /** On the choice of the artifact; only with `ready`. */
  notes?: readonly string[] | undefined;
  /** Why nothing is ready, for programs; only with `pending` and `none`. */
  reason?: string;
  /** The same for people; with `none`, and with `pending` where waiting alone may not help. */
  message?: string | undefined;
  /** When the pending version was published, as RFC 3339; only with `pending`. */
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
        notes,
      };
    }
    case "pending":
      return {
        kind: "pending",
        ...NOTHING,
        tag: resolution.tag,
        version: withoutV(resolution.tag),
        reason: resolution.reason,
        message: resolution.message,
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
