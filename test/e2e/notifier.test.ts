import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { hostRegistries } from "../../src/host/registries.ts";
import { notifiers } from "../../src/notifiers/table.ts";
import { tempDirectory } from "../support/temp_directory.ts";
import { makeArtifact } from "./archive.ts";
import { cliRuntimes, liveVersion, runDewy } from "./dewy.ts";
import { filePublisher } from "./publishers.ts";
import { slack } from "./slack.ts";

/** The names of what long outputs leave out. */
const HOOK =
  "echo DOCKER_AUTH_CONFIG=$DOCKER_AUTH_CONFIG; echo DEWY_NOTIFIER=$DEWY_NOTIFIER; env; env >&2; false";

describe.each(cliRuntimes)("--notifier slack://… on $name", ({ command }) => {
  it("reports the start, the download and the hooks of a deploy, in this order", async () => {
    const { texts, url } = await slack(async () => Response.json({ ok: true, ts: "1.1" }));
    const publisher = await filePublisher();
    const cwd = await tempDirectory();
    await publisher.publish("v1.0.0", await makeArtifact("v1.0.0"));
    const { code, stderr } = await runDewy(
      command,
      [
        "assets",
        "--registry",
        publisher.url,
        "--once",
        "--notifier",
        "slack://deploy?title=app",
        "--after-deploy-hook",
        "echo done",
      ],
      { cwd, env: { SLACK_TOKEN: "xoxb-secret-token", SLACK_API_URL: url } },
    );
    expect(code, stderr).toBe(0);
    expect(texts).toEqual([
      "Automatic shipping started by *Dewy* (v0.1.0: assets)",
      "Downloaded artifact for `v1.0.0`",
      "```\necho done\n```",
      "Deployed `v1.0.0`",
    ]);
    expect(stderr).not.toContain("xoxb");
  });

  it("masks what a hook prints of its environment in the log, in Slack and in its files", async () => {
    const { forms, url } = await slack(async () => Response.json({ ok: true, ts: "1.1" }));
    const publisher = await filePublisher();
    const cwd = await tempDirectory();
    await publisher.publish("v1.0.0", await makeArtifact("v1.0.0"));
    const tables = [...Object.values(hostRegistries), ...Object.values(notifiers)];
    const secrets = tables
      .flatMap(({ environment }) => environment)
      .filter(({ secret }) => secret !== false)
      .map(({ name, secret }) => [name, secret === "json" ? '{"a":"canary-1"}' : "canary-1"]);
    const { code, stdout, stderr } = await runDewy(
      command,
      [
        ...["assets", "--registry", publisher.url, "--once", "--log-level", "debug"],
        ...["--notifier", "slack://deploy", "--before-deploy-hook", HOOK],
      ],
      {
        cwd,
        env: {
          ...Object.fromEntries(secrets),
          DATABASE_URL: "postgres://app:canary-2@db/app",
          DEWY_NOTIFIER: "discord+https://127.0.0.1:1/api/webhooks/12345678/canary-3?title=canary",
          SLACK_API_URL: url,
        },
      },
    );
    expect(code).toBe(4);
    expect(forms.join()).toContain("DOCKER_AUTH_CONFIG=…");
    expect(forms.join()).toContain("DEWY_NOTIFIER=discord+https://127.0.0.1:1…");
    const files = await readdir(cwd, { recursive: true, withFileTypes: true });
    const texts = files
      .filter((file) => file.isFile())
      .map((file) => readFile(join(file.parentPath, file.name), "utf8"));
    expect([stdout, stderr, ...forms, ...(await Promise.all(texts))].join()).not.toContain(
      "canary",
    );
  });

  it("deploys and exits although Slack never answers", async () => {
    const { url } = await slack(() => new Promise(() => {}));
    const publisher = await filePublisher();
    const cwd = await tempDirectory();
    await publisher.publish("v1.0.0", await makeArtifact("v1.0.0"));
    const { code } = await runDewy(
      command,
      ["assets", "--registry", publisher.url, "--once", "--notifier", "slack://deploy"],
      { cwd, env: { SLACK_TOKEN: "xoxb-secret-token", SLACK_API_URL: url } },
    );
    expect(code).toBe(0);
    expect(await liveVersion(cwd)).toBe("v1.0.0");
  });

  it("continues with one warning when the token is missing", async () => {
    const publisher = await filePublisher();
    const cwd = await tempDirectory();
    await publisher.publish("v1.0.0", await makeArtifact("v1.0.0"));
    const { code, stderr } = await runDewy(
      command,
      ["assets", "--registry", publisher.url, "--once", "--notifier", "slack://deploy"],
      { cwd },
    );
    expect(code).toBe(0);
    expect(stderr.match(/SLACK_TOKEN/g)).toHaveLength(1);
  });
});
