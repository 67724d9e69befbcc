import type { Registry } from "../core/types.ts";
import { SAME_POLL_MS } from "../resolve/resolve.ts";

/**
 * Passes over version directories in which no release is left. In the layout `<prefix><tag>/<artifact>` dewy's own
 * records of deploys keep the directory of a deleted release alive, so that its tag is still listed. A registry of that
 * layout answers `pending` without `since` for such a tag, and is asked again without it.
 */
export function skipAbandoned(registry: Registry): Registry {
  return {
    ...registry,
    async resolve(options = {}) {
      const exclude = new Set(options.exclude);
      for (let asked = options; ; asked = { maxAgeMs: SAME_POLL_MS, ...options }) {
        const resolution = await registry.resolve({ ...asked, exclude });
        const isAbandoned = resolution.kind === "pending" && resolution.since === undefined;
        if (!isAbandoned || exclude.has(resolution.tag)) return resolution;
        exclude.add(resolution.tag);
      }
    },
  };
}
