import type { Resolution } from "../../core/types.ts";
import { redactUrl } from "../../core/url.ts";

/** Unknown values are `null`, in the JSON of `dewy check`. */
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

/** The JSON of `dewy check`: docs/operations.md describes its fields. */
export function toAnswer(resolution: Resolution) {
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
