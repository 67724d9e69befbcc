import { chmod, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { redactor } from "../../src/agent/redactor.ts";
import { notifiers } from "../../src/notifiers/table.ts";
import {
  collectNotifierUrls,
  labelsOf,
  readNotifierUrl,
  secretsIn,
} from "../../src/notifiers/urls.ts";
import { tempDirectory } from "../support/temp_directory.ts";

const DISCORD = "discord+https://discord.com/api/webhooks/1234567890/AbC-dEf_canary";
const TEAMS = "teams+https://x.example/workflows/aabbccddeeff?sp=%2Ftriggers&sig=s%2Bcanary-1";

const read = (text: string): ReturnType<typeof readNotifierUrl> => readNotifierUrl(text, notifiers);

describe("where the URLs come from", () => {
  test("flags, files and the variable add up", async () => {
    const path = join(await tempDirectory(), "urls");
    await writeFile(path, `\ufeff# for the team\n\n  ${DISCORD}  \r\n#${TEAMS}\nslack://b\n`);
    const sources = { notifiers: ["slack://a"], notifierFiles: [path] };
    const env = { DEWY_NOTIFIER: ` slack://c\n\tslack://d ` };
    expect((await collectNotifierUrls(sources, env)).texts).toEqual([
      "slack://a",
      DISCORD,
      "slack://b",
      "slack://c",
      "slack://d",
    ]);
  });

  test("a file that cannot be read is an error with the flag's name", async () => {
    const path = join(await tempDirectory(), "none");
    const sources = { notifiers: [], notifierFiles: [path] };
    await expect(collectNotifierUrls(sources, {})).rejects.toThrow(
      `Cannot use --notifier-file: Cannot read "${path}": there is no such file`,
    );
  });

  test("a file that every user can read is reported", async () => {
    const path = join(await tempDirectory(), "urls");
    await writeFile(path, "slack://a\n", { mode: 0o640 });
    const sources = { notifiers: [], notifierFiles: [path] };
    expect((await collectNotifierUrls(sources, {})).publicFiles).toEqual([]);
    await chmod(path, 0o644);
    expect((await collectNotifierUrls(sources, {})).publicFiles).toEqual([path]);
  });

  test("a file without a URL is reported, whatever its mode", async () => {
    const path = join(await tempDirectory(), "urls");
    await writeFile(path, "# later\n", { mode: 0o644 });
    const sources = { notifiers: [], notifierFiles: [path] };
    const { publicFiles, emptyFiles } = await collectNotifierUrls(sources, {});
    expect({ publicFiles, emptyFiles }).toEqual({ publicFiles: [], emptyFiles: [path] });
  });
});

describe("how URLs are shown", () => {
  test.each([
    ["slack://deploy?title=app", "slack://deploy?title=app"],
    ["slack://#deploy", "slack://deploy"],
    [DISCORD, "discord+https://discord.com/…"],
    [`${DISCORD}?title=app`, "discord+https://discord.com/…"],
    ["exec:/usr/bin/notify --key canary", "exec:…"],
    [
      "smtp://mail.example/ops@x.example?password=canary",
      "smtp://mail.example/ops@x.example?password=…",
    ],
  ])("%s", (text, label) => {
    expect(labelsOf([read(text)])).toEqual([label]);
  });

  test("those that look the same are numbered", () => {
    const urls = [DISCORD, "slack://a", `${DISCORD}2`].map(read);
    expect(labelsOf(urls)).toEqual([
      "discord+https://discord.com/… (1)",
      "slack://a",
      "discord+https://discord.com/… (2)",
    ]);
  });
});

describe("the secrets in URLs", () => {
  const shown = (text: string, ...urls: string[]): string =>
    redactor({ SECRETS: secretsIn(urls, notifiers).join("\n") })(text);

  test.each([
    [DISCORD, DISCORD, "discord+https://discord.com…"],
    [DISCORD, "token AbC-dEf_canary of 1234567890", "token … of …"],
    [DISCORD, "webhooks of discord", "webhooks of discord"],
    [TEAMS, "sig=s%2Bcanary-1, s+canary-1", "sig=…, …"],
    ["smtp://u:pass-canary@mail.example/ops@x.example", "pass-canary", "…"],
    ["smtp://mail.example/ops@x.example?password=pass+canary1", "pass+canary1 pass canary1", "… …"],
    ["smtp://mail.example/ops@x.example?password=pass+canary1", "ops@x.example", "ops@x.example"],
    [
      "exec:/usr/bin/notify --key canary-1 --token=canary-2",
      "canary-1 canary-2 --token notify",
      "… … --token notify",
    ],
    ["exec:notify --key canary-1 me@x.example", "canary-1 notify", "… notify"],
    ["slack://deployments?title=production", "deployments production", "deployments production"],
    ["unknown://host/secret-path-1", "secret-path-1", "…"],
  ])("of %s are masked in: %s", (url, text, expected) => {
    expect(shown(text, url)).toBe(expected);
  });
});

test("a driver without // takes everything after the colon", () => {
  expect(read("exec:/bin/echo a?b#c").url).toMatchObject({
    scheme: "exec",
    host: "",
    path: "/bin/echo a?b#c",
  });
});

test.each([
  ["https://discord.com/api/webhooks/1/canary", "for Discord use discord+https://"],
  ["https://hooks.slack.com/services/T/B/canary", "use slack+https://hooks.slack.com/"],
  ["https://ntfy.sh/canary-topic", "use ntfy+https://"],
])("%s is refused, with the scheme to use and without the secret", (text, hint) => {
  expect(() => read(text)).toThrow(hint);
  expect(() => read(text)).not.toThrow("canary");
});

test("the secrets of a webhook's URL are its path and the service's keys, not dewy's options", () => {
  const url =
    "teams+https://h.example/workflows/0123456789ab?sig=abc-DEF_0123456789&title=my-own-app&mention=alice@example.com";
  const secrets = secretsIn([url], notifiers);
  expect(secrets).toContain("0123456789ab");
  expect(secrets).toContain("abc-DEF_0123456789");
  expect(secrets).not.toContain("my-own-app");
  expect(secrets).not.toContain("alice@example.com");
});
