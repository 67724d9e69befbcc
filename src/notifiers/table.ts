import { discord } from "./discord/driver.ts";
import type { NotifierDriver } from "./driver.ts";
import { exec } from "./exec/driver.ts";
import { http, https } from "./https/driver.ts";
import { mail } from "./mail/driver.ts";
import { ntfy, ntfyPlain } from "./ntfy/driver.ts";
import { slack } from "./slack/driver.ts";
import { slackWebhook } from "./slack_webhook/driver.ts";
import { teams } from "./teams/driver.ts";

/** The notifiers by scheme. Help, the reference, redaction and errors are derived from this table. */
export const notifiers: Readonly<Record<string, NotifierDriver>> = {
  slack,
  [slackWebhook.scheme]: slackWebhook,
  [discord.scheme]: discord,
  [teams.scheme]: teams,
  [ntfy.scheme]: ntfy,
  [ntfyPlain.scheme]: ntfyPlain,
  smtp: mail,
  smtps: mail,
  mail,
  https,
  http,
  exec,
};
