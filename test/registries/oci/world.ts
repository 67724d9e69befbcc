import type { DewyEvent } from "../../../src/core/event.ts";
import type { Registry } from "../../../src/core/types.ts";
import type { HostServices } from "../../../src/registries/driver.ts";
import { img } from "../../../src/registries/oci/driver.ts";
import { openRegistry, type RegistryOptions } from "../../../src/registries/open.ts";
import { fakeClock } from "../../fakes/clock.ts";
import type { FakeOci } from "../../fakes/oci.ts";

/** "Now" in the tests. */
export const NOW: number = Date.UTC(2026, 5, 1, 12);

/** An open registry with its clock and the events it has emitted. */
export interface ImgWorld {
  registry: Registry;
  events: DewyEvent[];
  clock: ReturnType<typeof fakeClock>;
}

/**
 * Opens a fake registry: linux/amd64, without credentials and files.
 *
 * @param fake the registry.
 * @param options what differs.
 * @param url the registry's URL.
 * @returns the registry with its clock and events.
 */
export function openFakeImg(
  fake: Pick<FakeOci, "fetch">,
  options: RegistryOptions & HostServices = {},
  url = "img://registry.example/o/app",
): ImgWorld {
  const events: DewyEvent[] = [];
  const clock = fakeClock({ now: NOW, skipUpTo: 10_000 });
  const registry = openRegistry(url, {
    registries: { img },
    platform: { os: "linux", arch: "amd64" },
    env: {},
    fetch: fake.fetch,
    clock,
    emit: (event) => events.push(event),
    timeoutMs: Number.POSITIVE_INFINITY,
    ...options,
  });
  return { registry, events, clock };
}
