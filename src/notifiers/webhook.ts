/** The notifiers that post JSON to a webhook. Their first notification loads the rest. */
import type { EnvironmentSpec } from "../core/environment.ts";
import { ConfigError } from "../core/error.ts";
import { nearest } from "../core/text.ts";
import { type OptionSpec, type QueryReader, readQuery, type SplitUrl } from "../core/url.ts";
import type { Notification, NotifierContext, NotifierDriver } from "./driver.ts";
import type { JsonPoster, Post, Service } from "./post_json.ts";

export interface Webhook {
  /** With the keys of the query that are not dewy's. */
  target: URL;
  /** dewy's own. */
  options: QueryReader;
}

/** The form of the URLs of a driver. */
export interface WebhookForm {
  syntax: string;
  options: readonly OptionSpec[];
  /** Whether the query may have keys of the service. */
  hasOwnKeys?: boolean;
  /** Returns what is wrong with the URL, without showing it. */
  problem?(target: URL): string | undefined;
}

interface WebhookSpec
  extends WebhookForm,
    Pick<NotifierDriver, "scheme" | "name" | "example" | "sites" | "isForPrograms"> {
  environment?: readonly EnvironmentSpec[];
  open(webhook: Webhook, context: NotifierContext): OpenWebhook;
}

interface OpenWebhook extends Omit<Service, "name"> {
  /** That of the service in errors; defaults to that of the driver. */
  name?: string;
  post(notification: Notification): Promise<Post>;
}

/** A notifier that posts to the secret URL of a webhook. */
export function webhookDriver({ open, ...spec }: WebhookSpec): NotifierDriver {
  return {
    isSecretUrl: true,
    environment: [],
    ...spec,
    open(url, context) {
      const { post, ...service } = open(readWebhook(url, spec), context);
      const send = jsonPoster({ name: spec.name, ...service }, context);
      return { send: async (notification, signal) => send(await post(notification), signal) };
    },
  };
}

/** Reads `discord+https://host/path?title=app`. Errors show only the host: the rest may be secret. */
export function readWebhook(url: SplitUrl, form: WebhookForm): Webhook {
  const names = form.options.map(({ name }) => name);
  const origin = `${url.scheme}://${url.host.replace(/^.*@/s, "")}`;
  const invalid = (why: string): ConfigError =>
    new ConfigError(`Invalid value for --notifier "${origin}/…": ${why}: ${form.syntax}`);

  if (url.host.includes("@")) throw invalid("credentials do not belong in front of the host");
  const [foreign, own] = partition([...url.query], ([key]) => !names.includes(key));
  for (const [key] of form.hasOwnKeys === true ? foreign : []) {
    const near = key.length < 4 ? undefined : nearest(key, names);
    if (near !== undefined) throw invalid(`unknown option "${key}"; did you mean ${near}?`);
  }
  // A variable of a script that is not set must not send everything unsigned.
  const empty = own.find(([key, value]) => key.endsWith("-file") && value === "");
  if (empty !== undefined) throw invalid(`${empty[0]} is empty; expected a path`);
  const query = form.hasOwnKeys === true ? new Map(own) : url.query;
  const options = readQuery({ ...url, text: `${origin}/…`, query }, form.options, "--notifier");

  const text = `${url.scheme.replace(/^.*\+/, "")}://${url.host}${url.path}${foreignQuery(url, names)}`;
  if (url.host === "" || !URL.canParse(text)) throw invalid("it is not a URL");
  const target = new URL(text);
  const problem = form.problem?.(target);
  if (problem !== undefined) throw invalid(problem);
  return { target, options };
}

/** Byte by byte as it was: the service may have signed it. */
function foreignQuery({ text }: SplitUrl, names: readonly string[]): string {
  const [, query = ""] = /\?(.*)$/s.exec(text) ?? [];
  const [foreign] = partition(query.split("&"), (pair) => {
    const [key = ""] = pair.split("=");
    return pair !== "" && !names.includes(decodeURIComponent(key.replaceAll("+", " ")));
  });
  return foreign.length === 0 ? "" : `?${foreign.join("&")}`;
}

function partition<T>(all: readonly T[], test: (one: T) => boolean): [T[], T[]] {
  return [all.filter(test), all.filter((one) => !test(one))];
}

/** Returns a function that posts to a webhook. */
export function jsonPoster(service: Service, context: NotifierContext): JsonPoster {
  let poster: Promise<JsonPoster> | undefined;
  return async (...request) => {
    poster ??= import("./post_json.ts").then(({ createPoster }) => createPoster(service, context));
    await (await poster)(...request);
  };
}
