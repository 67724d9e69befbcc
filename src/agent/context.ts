import type { Context } from "../core/context.ts";
import type { ProcessIo } from "../host/process/io.ts";
import type { RegistryContext, RegistryTable } from "../registries/driver.ts";
import type { Redactor } from "./redactor.ts";

/** Everything a command needs from outside. It is assembled once; tests pass their own. */
export interface CommandContext extends ProcessIo, Pick<Context, "clock" | "fetch" | "emit"> {
  /** For registry drivers. */
  io: RegistryContext;
  /** The drivers by scheme: those of the library and `file`. */
  registries: RegistryTable;
  redactor: Redactor;
  /** The version of dewy. */
  version: string;
}
