import type { Context } from "../core/context.ts";
import type { Environment, EnvironmentSpec } from "../core/environment.ts";
import type { HookResult } from "../core/event.ts";
import type { OptionSpec, SplitUrl } from "../core/url.ts";
import type { JournalEntry } from "../journal/entry.ts";
import type { RichText } from "./rich_text.ts";

/** What happened, in neutral parts: each notifier renders them in its own way. */
export interface Notification {
  /** Quiet notifiers skip `message` and `hook-passed`. */
  kind: "message" | "success" | "error" | "hook-passed" | "hook-failed";
  text: RichText;
  /** The facts, redacted: what the journal says. A hook's entry has its `command`, `stdout`, `stderr` and `exitCode`. */
  entry: JournalEntry;
  hook?: HookResult | undefined;
}

export interface Notifier {
  /** @throws DewyError if it was not delivered; a retryable one is retried. */
  send(notification: Notification, signal: AbortSignal): Promise<void>;
  /** Called with the directory of a release that went live, before the notifications about it. */
  onActivated?(directory: string): Promise<void>;
}

export interface NotifierContext extends Context {
  /** This machine, as people know it. */
  host: HostIdentity;
  /** The value of `--ca-file`, for connections without `fetch`. */
  caFile?: string | undefined;
  /** The environment of programs that a notifier starts: without what drivers read. */
  programEnv: Environment;
  /** The instance that notifications are about. */
  instance: { name: string; mode: string; directory: string; registry: string };
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
  /** Whether its URL is a secret from the path on, as those of webhooks are. */
  readonly isSecretUrl?: boolean;
  readonly environment: readonly EnvironmentSpec[];
  /** How the names of further variables begin that hold credentials or lead to them. */
  readonly credentialPrefixes?: readonly string[];
  /** Returns `undefined`, after a warning, if its credentials are missing. */
  open(url: SplitUrl, context: NotifierContext): Notifier | undefined;
}

/** The option that all notifiers have. */
export const QUIET: OptionSpec = {
  name: "quiet",
  type: "boolean",
  description: "Send only deploy successes, errors and failed hooks",
};
