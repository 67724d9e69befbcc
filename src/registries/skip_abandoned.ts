import type { CurrentOptions, Registry, Resolution } from "../core/types.ts";
import { SAME_POLL_MS } from "../resolve/resolve.ts";

/**
 * Passes over version directories in which no release is left. In the layout `<prefix><tag>/<artifact>` dewy's own
 * records of deploys keep the directory of a deleted release alive, so that its tag is still listed.
 *
 * @param registry a registry of that layout, which answers `pending` without `since` for such a tag.
 * @returns the same registry, which asks again without that tag.
 */
export function skipAbandoned(registry: Registry): Registry {
  return {
    ...registry,
    current: (options) =>
      settle(
        options,
        (current) => registry.current(current),
        (resolution) => resolution,
      ),
    explain: (options) =>
      settle(
        options,
        (current) => registry.explain(current),
        ({ resolution }) => resolution,
      ),
  };
}

async function settle<T>(
  options: CurrentOptions = {},
  ask: (options: CurrentOptions) => Promise<T>,
  resolutionOf: (answer: T) => Resolution,
): Promise<T> {
  const exclude = new Set(options.exclude);
  for (let asked = options; ; asked = { maxAgeMs: SAME_POLL_MS, ...options }) {
    const answer = await ask({ ...asked, exclude });
    const resolution = resolutionOf(answer);
    const isAbandoned = resolution.kind === "pending" && resolution.since === undefined;
    if (!isAbandoned || exclude.has(resolution.tag)) return answer;
    exclude.add(resolution.tag);
  }
}
