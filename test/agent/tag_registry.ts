import { ready, type TestRegistry, testRegistry } from "../deploy/world.ts";

/** A {@link testRegistry} that honours `tag`; it has these versions, the newest first. */
export function tagRegistry(...tags: readonly string[]): TestRegistry {
  const registry = testRegistry(...tags.map((tag) => ready(tag)));
  const { resolve } = registry;
  registry.resolve = async (options = {}) => {
    const { tag } = options;
    if (tag === undefined) return resolve(options);
    const found = registry.answers.find((one) => one.kind === "ready" && one.release.tag === tag);
    const message = `the registry has no ${tag}`;
    return found ?? { kind: "none", reason: "unknown-tag", tag, message };
  };
  return registry;
}
