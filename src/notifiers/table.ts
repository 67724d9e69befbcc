import type { NotifierDriver } from "./driver.ts";
import { slack } from "./slack/driver.ts";

/** The notifiers by scheme. Help, the reference, redaction and errors are derived from this table. */
export const notifiers: Readonly<Record<string, NotifierDriver>> = { slack };
