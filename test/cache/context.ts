import { systemClock } from "../../src/core/clock.ts";
import type { RegistryContext } from "../../src/registries/driver.ts";

export function cacheContext(io: Partial<RegistryContext> = {}): RegistryContext {
  return {
    platform: { os: "linux", arch: "amd64" },
    env: {},
    fetch: globalThis.fetch,
    clock: systemClock,
    emit: () => {},
    ...io,
  };
}
