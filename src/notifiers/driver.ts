import type { Context } from "../core/context.ts";
import type { Environment, EnvironmentSpec } from "../core/environment.ts";
import type { Redact } from "../core/secret.ts";
import { type OptionSpec, option, type SplitUrl } from "../core/url.ts";
import type { JournalEntry } from "../journal/entry.ts";
import type { RichText } from "./rich_text.ts";

/** What happened, in neutral parts: each notifier renders them in its own way. */
export interface Notification {
  /** The same for every attempt, also after a restart of dewy. */
  id: string;
  /** Quiet notifiers skip `message` and `hook-passed`. */
  kind: "message" | "success" | "error" | "hook-passed" | "hook-failed";
  /** Says when it happened if it is delivered late. */
  text: RichText;
  /** When it happened, for people, if it is delivered late: `2026-05-04 07:00 UTC`. */
  lateAt?: string;
  /**
   * The facts, redacted: what the journal says. `entry.at` is when it happened. For a hook, {@link hookOf} in `hook.ts` has
   * its command and output.
   */
  entry: JournalEntry;
}

export interface Notifier {
  /**
   * Delivers a notification: once, without retries. The outbox calls it for one notification at a time, in
   * order, aborts after 10 s, and tries again.
   *
   * @throws DewyError if it was not delivered. If it is `retryable`, the outbox retries with backoff and respects
   * `retryAfterMs`. If its `fault` is `operator` (a CredentialError), or if it is a NotFoundError, only the operator can
   * solve it: the outbox waits longer and keeps the notification. With any other error it gives up this notification.
   */
  send(notification: Notification, signal: AbortSignal): Promise<void>;
  /** Called with the directory of a release that went live, before the notifications about it. */
  onActivated?(directory: string): Promise<void>;
  /** Closes connections. */
  close?(): Promise<void>;
}

export interface NotifierContext extends Context {
  /** This machine, as people know it. */
  host: HostIdentity;
  /** The value of `--ca-file`, for connections without `fetch`. */
  caFile?: string | undefined;
  /** Masks secrets in everything that is shown. */
  redact: Redact;
  /** The environment of programs that a notifier starts: without what drivers read. */
  programEnv: Environment;
  /** The instance that notifications are about. Name and directory are known once the first notification is sent. */
  instance: {
    name: string;
    mode: string;
    directory: string;
    registry: string;
    /** The name of the fleet that the host belongs to. */
    fleet?: string | undefined;
  };
}

export interface HostIdentity {
  name: string;
  /** A colour that distinguishes machines at a glance, as `#RRGGBB`. */
  color: string;
}

export interface NotifierDriver {
  readonly scheme: string;
  readonly name: string;
  /** The form of the URL: `slack://<channel>`. */
  readonly syntax: string;
  readonly example: string;
  readonly options: readonly OptionSpec[];
  /** The domains of its service, so that a pasted URL gets a hint. */
  readonly sites?: readonly string[];
  /** Whether its URL is a secret from the path on, as those of webhooks are. User info is always a secret. */
  readonly isSecretUrl?: boolean;
  /** Whether programs read its messages: they get all events, also those that repeat another one for people. */
  readonly isForPrograms?: boolean;
  /** Whether a URL without `//` is accepted: all after the colon is its path, without a query. */
  readonly isOpaque?: boolean;
  readonly environment: readonly EnvironmentSpec[];
  /** How the names of further variables begin that hold credentials or lead to them. */
  readonly credentialPrefixes?: readonly string[];
  /** Returns `undefined`, after a warning, if its credentials are missing. */
  open(url: SplitUrl, context: NotifierContext): Notifier | undefined;
}

/** The option that all notifiers have. */
export const QUIET = option(
  "quiet",
  "Send only deploy successes, errors and failed hooks",
  "boolean",
);
