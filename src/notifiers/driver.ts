/**
 * What a notifier driver is: one file that says how its URL reads and how to send.
 *
 * @module
 */
import type { Clock } from "../core/clock.ts";
import type { EnvironmentSpec } from "../core/environment.ts";
import type { EventSink, HookResult } from "../core/event.ts";
import type { OptionSpec, SplitUrl } from "../core/url.ts";

/** One thing to tell people. */
export interface Notification {
  /** What it is about; quiet notifiers tell only what is not a `message`. */
  kind: "message" | "success" | "error" | "hook-passed" | "hook-failed";
  /** The text, with Markdown-like `*bold*` and `` `code` ``. */
  text: string;
  /** Of hooks: how it ended, for notifiers that can show more than text. */
  hook?: HookResult;
}

/** Tells people. */
export interface Notifier {
  /**
   * Sends one notification.
   *
   * @param notification what to tell.
   * @param signal ends the attempt.
   * @throws DewyError when it was not delivered; a retryable one is tried again.
   */
  send(notification: Notification, signal: AbortSignal): Promise<void>;
  /** Hears where the release that is live now lies, before the notifications about it. */
  onActivated?(directory: string): Promise<void>;
}

/** What a driver needs from the world. */
export interface NotifierIo {
  /** Environment variables. */
  env: Readonly<Record<string, string | undefined>>;
  /** The network. */
  fetch: typeof globalThis.fetch;
  /** Time. */
  clock: Clock;
  /** Hears of requests and warnings. */
  emit: EventSink;
  /** This machine, as people know it. */
  host: HostIdentity;
  /** Reads a file of this machine as text; rejects with a HostError when it cannot. */
  readTextFile?: (path: string) => Promise<string>;
}

/** A machine in a notification. */
export interface HostIdentity {
  /** Its name. */
  name: string;
  /** A colour of its own, as `#RRGGBB`, that tells machines apart at a glance. */
  color: string;
}

/** How one kind of notifier is named, read and opened. */
export interface NotifierDriver {
  /** The part of the URL before `://`; the key in the table. */
  readonly scheme: string;
  /** What people call it. */
  readonly name: string;
  /** The URL's form. */
  readonly syntax: string;
  /** A URL to copy. */
  readonly example: string;
  /** The options of its URL. */
  readonly options: readonly OptionSpec[];
  /** The domain of its website, so that a pasted address can be answered with the right scheme. */
  readonly site?: string;
  /** The environment variables it reads. */
  readonly environment: readonly EnvironmentSpec[];
  /** How the names of further variables begin that hold credentials or lead to them. */
  readonly credentialPrefixes?: readonly string[];
  /**
   * Opens the notifier; nothing is sent yet.
   *
   * @param url its URL.
   * @param io the world.
   * @returns the notifier; `undefined` when its credentials are missing, after one warning.
   * @throws ConfigError when the URL cannot be used.
   */
  open(url: SplitUrl, io: NotifierIo): Notifier | undefined;
}

/** The option that all notifiers have. */
export const QUIET: OptionSpec = {
  name: "quiet",
  type: "boolean",
  description: "Only deploy successes, errors and failed hooks",
};
