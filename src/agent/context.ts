import type { CacheTable } from "../cache/types.ts";
import type { Context } from "../core/context.ts";
import { type Environment, withoutCredentials } from "../core/environment.ts";
import type { EventSink } from "../core/event.ts";
import type { ProcessIo } from "../host/process/io.ts";
import type { Notifications } from "../notifiers/open.ts";
import type { NotifierTable } from "../notifiers/urls.ts";
import type { RegistryContext, RegistryTable } from "../registries/driver.ts";
import { TELEMETRY_SECRETS } from "../telemetry/environment.ts";
import type { Redactor } from "./redactor.ts";

/** The drivers that dewy knows, by scheme. */
export interface DriverTables {
  registries: RegistryTable;
  notifiers: NotifierTable;
  caches: CacheTable;
}

/** Everything a command needs from outside. It is assembled once; tests pass their own. */
export interface CommandContext
  extends ProcessIo,
    DriverTables,
    Pick<Context, "clock" | "fetch" | "emit"> {
  /** Passes all events to one more sink; returns the function that ends this. */
  subscribe?(sink: EventSink): () => void;
  /** The last lines of dewy's own log, for the status page; absent without an admin server. */
  ownLines?(): readonly string[];
  /** The open notifiers. */
  notifications?: Notifications | undefined;
  io: RegistryContext;
  redactor: Redactor;
  version: string;
}

/** The environment for programs that are not to have dewy's credentials. */
export function isolated(env: Environment, tables: DriverTables): Environment {
  return withoutCredentials(env, [
    ...Object.values(tables.registries),
    ...Object.values(tables.notifiers),
    ...Object.values(tables.caches),
    { environment: TELEMETRY_SECRETS },
  ]);
}
