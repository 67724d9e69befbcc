import { systemClock } from "../../../src/core/clock.ts";
import type { DewyEvent } from "../../../src/core/event.ts";
import type { Registry } from "../../../src/core/types.ts";
import { splitUrl } from "../../../src/core/url.ts";
import type { RegistryContext } from "../../../src/registries/driver.ts";
import { parseGsUrl } from "../../../src/registries/gcs/locator.ts";
import { type GsStoreOptions, openGs } from "../../../src/registries/gcs/registry.ts";
import type { FakeGcs } from "../../fakes/gcs.ts";

/** A day after the fake's objects were stored: no grace period. */
const NOW = Date.parse("2026-01-02T00:00:00.000Z");

export interface GsWorldOptions extends GsStoreOptions {
  env?: RegistryContext["env"];
  /** Milliseconds since the Unix epoch. */
  now?: number;
  emit?: (event: DewyEvent) => void;
  readTextFile?: (path: string) => Promise<string>;
  fetch?: typeof globalThis.fetch;
}

/**
 * Opens a registry in a fake bucket.
 *
 * @param fake the bucket's server.
 * @param url the registry's URL.
 * @param options what differs.
 * @returns the registry.
 */
export function openFakeGs(fake: FakeGcs, url: string, options: GsWorldOptions = {}): Registry {
  return openGs(parseGsUrl(splitUrl(url, "--registry")), gsIo(fake, options), options);
}

/**
 * The context of a fake bucket: linux/amd64, no credentials, and pauses that end at once.
 *
 * @param fake the bucket's server.
 * @param options what differs.
 */
export function gsIo(fake: FakeGcs, options: GsWorldOptions = {}): RegistryContext {
  const { env = {}, now = NOW, emit = () => {}, readTextFile, fetch = fake.fetch } = options;
  return {
    platform: { os: "linux", arch: "amd64" },
    env,
    fetch,
    clock: {
      now: () => now,
      monotonic: () => now,
      sleep: (ms, signal) => systemClock.sleep(ms < 10_000 ? 0 : ms, signal),
    },
    emit,
    ...(readTextFile === undefined ? {} : { readTextFile }),
  };
}
