import type { Clock } from "../core/clock.ts";
import type { EventSink } from "../core/event.ts";
import type { ProcessIo } from "../host/process/io.ts";
import type { NotifierDriver } from "../notifiers/driver.ts";
import type { RegistryContext, RegistryTable } from "../registries/driver.ts";
import type { Redactor } from "./redactor.ts";

/** The drivers that dewy knows, by scheme. */
export interface DriverTables {
  registries: RegistryTable;
  notifiers: Readonly<Record<string, NotifierDriver>>;
}

/** Everything a command needs from outside, assembled once; tests pass their own. */
export interface CommandContext extends ProcessIo, DriverTables {
  /** Time. */
  clock: Clock;
  /** The network, with this machine's proxies and certificate authorities. */
  fetch: typeof globalThis.fetch;
  /** Tells the log, the notifier and the progress line what happens. */
  emit: EventSink;
  /** What registry drivers need. */
  io: RegistryContext;
  /** Makes the function that text passes before it leaves dewy. */
  redactor: Redactor;
  /** The version of dewy. */
  version: string;
}
