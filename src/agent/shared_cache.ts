import { hostname } from "node:os";
import type { SharedArtifacts } from "../cache/shared_artifacts.ts";
import type { CacheStore } from "../cache/types.ts";
import type { CommonConfig } from "../cli/flags/common.ts";
import type { EventSink } from "../core/event.ts";
import type { Registry } from "../core/types.ts";
import type { LocatorBase } from "../registries/driver.ts";
import type { CommandContext } from "./context.ts";

type Config = Pick<CommonConfig, "registry" | "slot" | "calver"> & { cache?: string | undefined };

export interface SharedCache {
  /** The registry, whose answers are shared if the cache's URL says so. */
  registry: Registry;
  /** Absent without `--cache`. */
  artifacts?: SharedArtifacts | undefined;
  /** The same. */
  store?: CacheStore | undefined;
}

/** Opens the cache of `--cache`. No request is sent. */
export async function openSharedCache(
  config: Config,
  { registry, locator }: { registry: Registry; locator: LocatorBase },
  context: CommandContext,
): Promise<SharedCache> {
  if (config.cache === undefined) return { registry };
  const { openCache } = await import("../cache/open.ts");
  const { SharedArtifacts } = await import("../cache/shared_artifacts.ts");
  const { SharedStore } = await import("../cache/shared_store.ts");
  const { caches, clock, emit, io } = context;
  // A failing store has one warning, which needs no line for each retry.
  const quiet: EventSink = (event) => {
    if (event.type !== "retry") io.emit(event);
  };
  const quietIo = { ...io, emit: quiet };
  const { store, registryTtlMs: ttlMs } = await openCache(config.cache, caches, quietIo);
  const node = `${hostname()}:${process.pid}`;
  const shared = new SharedStore({ store, node, clock, emit });
  const artifacts = new SharedArtifacts(shared);
  // The files of a directory are those of one machine.
  if (ttlMs === 0 || locator.type === "file") return { registry, artifacts, store };
  const { shareRegistry } = await import("../cache/shared_registry.ts");
  const { calver } = locator;
  const question = { scope: scopeOf(config, locator), platform: io.platform, calver };
  const answers = shareRegistry(registry, shared, { ...question, ttlMs });
  return { registry: answers, artifacts, store };
}

/** What the answer depends on: the URL, and what flags and `GITHUB_ARTIFACT` add to it. */
function scopeOf({ registry, slot, calver }: Config, { artifact }: LocatorBase): string {
  const added = new URLSearchParams();
  if (slot) added.set("slot", slot);
  if (calver) added.set("calver", calver);
  const hasArtifact = /[?&]artifact=/.test(registry);
  if (artifact !== "" && !hasArtifact) added.set("artifact", artifact);
  const query = added.toString();
  if (query === "") return registry;
  return `${registry}${registry.includes("?") ? "&" : "?"}${query}`;
}
