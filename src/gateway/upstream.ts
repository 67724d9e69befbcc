import { RemoteError } from "../core/error.ts";
import type { Platform, Registry, Resolution } from "../core/types.ts";
import { formatPlatform } from "../platform/platform.ts";
import {
  MAX_PLATFORMS,
  PolledRegistry,
  type PollOptions,
  type PollState,
} from "./polled_registry.ts";

export type Upstream = ReturnType<typeof openUpstream>;

const BY_SEVERITY: readonly PollState[] = ["idle", "ok", "stale", "failing"];

/** Polls a registry on behalf of many machines: once for all platforms if it supports that, else once per platform. */
export function openUpstream(
  open: (platform: Platform | undefined) => Registry,
  options: PollOptions,
) {
  const shared = new PolledRegistry(open(undefined), options);
  const own = new Map<string, PolledRegistry>();

  const find = (platform: Platform): PolledRegistry => {
    if (shared.registry.anyPlatform === true) return shared;
    const key = formatPlatform(platform);
    const known = own.get(key);
    if (known !== undefined) return known;
    if (own.size >= MAX_PLATFORMS) {
      throw new RemoteError(`Cannot serve ${key}: more than ${MAX_PLATFORMS} platforms`);
    }
    const opened = new PolledRegistry(open(platform), options);
    own.set(key, opened);
    return opened;
  };

  return {
    current: async (platform: Platform, artifact?: string): Promise<Resolution> =>
      find(platform).current(platform, artifact),
    registryFor: (platform: Platform): Registry => find(platform).registry,
    expire: (): void => {
      for (const polled of [shared, ...own.values()]) polled.expire();
    },
    /** The worst state of all polled registries. */
    state: (): PollState => {
      const states = [shared, ...own.values()].map(({ state }) => BY_SEVERITY.indexOf(state));
      return BY_SEVERITY[Math.max(...states)] ?? "idle";
    },
  };
}
