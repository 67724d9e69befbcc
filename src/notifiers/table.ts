/**
 * THE table of notifiers. The README and the "supported" error are derived from it.
 *
 * @module
 */
import type { NotifierDriver } from "./driver.ts";
import { slack } from "./slack/driver.ts";

/** The notifiers by the part of the URL before `://`. */
export const notifiers: Readonly<Record<string, NotifierDriver>> = { slack };
