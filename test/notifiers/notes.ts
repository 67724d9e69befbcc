import { splitUrl } from "../../src/core/url.ts";
import type { Notification, Notifier, NotifierDriver } from "../../src/notifiers/driver.ts";
import { code, type RichText, rich } from "../../src/notifiers/rich_text.ts";
import { fetchOf, type Handler } from "../fakes/handler.ts";
import { type FakeNotifierContext, notifierContext } from "./context.ts";

export const NEVER: AbortSignal = new AbortController().signal;
const AT = "2026-01-02T03:04:05.678Z";

export function note(
  text: RichText = rich`Downloaded artifact for ${code("v1")}`,
  kind: Notification["kind"] = "message",
): Notification {
  return { id: "1", kind, text, entry: { at: AT, event: "test" } };
}

export interface HookFields {
  command?: string;
  stdout?: string;
  stderr?: string;
  exitCode?: number;
  timedOut?: boolean;
}

/** A failed hook. */
export function hookNote(fields: HookFields = {}): Notification {
  const ended = { command: "make", exitCode: 3, durationMs: 1_500 };
  const entry = { at: AT, event: "hook", when: "before", ...ended, ...fields };
  const kind = entry.exitCode === 0 ? "hook-passed" : "hook-failed";
  return { id: "1", kind, text: [`✗ Before Deploy Hook: ${entry.command}`], entry };
}

/** Opens a notifier whose service is a fake. */
export function openWith(
  driver: NotifierDriver,
  url: string,
  handler: Handler,
  env: Readonly<Record<string, string>> = {},
): { notifier: Notifier; context: FakeNotifierContext } {
  const context = notifierContext({ fetch: fetchOf(handler), env });
  const notifier = driver.open(splitUrl(url, "--notifier"), context);
  if (notifier === undefined) throw new Error("no notifier");
  return { notifier, context };
}

/** Texts around the limits of services. */
export const LONG: readonly string[] = ["x", '"', "é"].flatMap((character) =>
  [1_900, 3_900, 4_000, 4_050, 4_090, 4_096, 4_097, 4_200, 4_400].map((length) =>
    character.repeat(length),
  ),
);

/** What a tag, an operator or an app could write to mention people, forge a link, or leave a code block. */
export const HOSTILE: readonly string[] = [
  "@everyone @here <!channel> <!here|x> <@U1> <@123456789> <@&123456789> <#1> <at>alice@example.com</at>",
  "[click](https://evil.example) <https://evil.example|click> <a href='https://evil.example'>click</a>",
  "``` ```` `` ` ```js\n`",
  "**b** __u__ _i_ ~~s~~ ||s|| > q\n> q\n# h\n- l\n1. l\n-# s <t:0> <:e:1> :smile: \\ \\`",
  "*https://evil.example/*_x_` https://ok.example/a_b_c",
];
