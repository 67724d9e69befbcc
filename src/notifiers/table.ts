import { discord } from "./discord/driver.ts";
import type { NotifierDriver } from "./driver.ts";
import { exec } from "./exec/driver.ts";
import { https } from "./https/driver.ts";
import { mail } from "./mail/driver.ts";
import { ntfy } from "./ntfy/driver.ts";
import { slack } from "./slack/driver.ts";
import { slackWebhook } from "./slack_webhook/driver.ts";
import { teams } from "./teams/driver.ts";

/** The notifiers by scheme. Help, the reference, redaction and errors are derived from this table. */
export const notifiers: Readonly<Record<string, NotifierDriver>> = {
  slack,
  "slack+https": slackWebhook,
  "discord+https": discord,
  "teams+https": teams,
  "ntfy+https": ntfy,
  "ntfy+http": ntfy,
  smtp: mail,
  smtps: mail,
  mail,
  https,
  http: https,
  exec,
};
