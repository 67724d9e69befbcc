import { RemoteError } from "../core/error.ts";
import type { Platform, Registry, Resolution } from "../core/types.ts";
import { formatPlatform } from "../platform/platform.ts";
import {
  MAX_PLATFORMS,
  PolledRegistry,
  type PollOptions,
  type PollState,
} from "./polled_registry.ts";

/** The registry that a gateway stands in front of. */
export interface Upstream {
  /**
   * Finds the newest version for a machine; see {@link PolledRegistry.current}.
   *
   * @param platform the machine.
   * @param artifact the name of the artifact it wants; defaults to the one for its platform.
   * @returns the answer.
   * @throws DewyError when the registry cannot be asked and no answer is young enough.
   */
  current(platform: Platform, artifact?: string): Promise<Resolution>;
  /**
   * The registry that answers for a machine; nothing is sent.
   *
   * @param platform the machine.
   * @returns the registry.
   */
  registryFor(platform: Platform): Registry;
  /** The worst of what became of the last polls. */
  state(): PollState;
  /** Makes the next question poll, however short ago the last poll was. */
  expire(): void;
}

const BY_SEVERITY: readonly PollState[] = ["idle", "ok", "stale", "failing"];

/**
 * Polls a registry on behalf of many machines: once for all of them where it is for any platform, else once for each
 * kind of machine.
 *
 * @param open opens the registry for one kind of machine; nothing is sent by it.
 * @param options the pace, and the world.
 * @returns the upstream.
 * @throws ConfigError when the registry cannot be opened.
 */
export function openUpstream(
  open: (platform: Platform | undefined) => Registry,
  options: PollOptions,
): Upstream {
  const shared = new PolledRegistry(open(undefined), options);
  const own = new Map<string, PolledRegistry>();

  const find = (platform: Platform): PolledRegistry => {
    if (shared.registry.anyPlatform === true) return shared;
    const key = formatPlatform(platform);
    const known = own.get(key);
    if (known !== undefined) return known;
    if (own.size >= MAX_PLATFORMS) {
      throw new RemoteError(`More than ${MAX_PLATFORMS} kinds of machines ask; ${key} is refused`);
    }
    const opened = new PolledRegistry(open(platform), options);
    own.set(key, opened);
    return opened;
  };

  return {
    current: async (platform, artifact) => find(platform).current(platform, artifact),
    registryFor: (platform) => find(platform).registry,
    expire: () => {
      for (const polled of [shared, ...own.values()]) polled.expire();
    },
    state: () => {
      const states = [shared, ...own.values()].map(({ state }) => BY_SEVERITY.indexOf(state));
      return BY_SEVERITY[Math.max(...states)] ?? "idle";
    },
  };
}
