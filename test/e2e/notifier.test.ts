import { describe, expect, it } from "vitest";
import { tempDirectory } from "../support/temp_directory.ts";
import { makeArtifact } from "./archive.ts";
import { cliRuntimes, liveVersion, runDewy } from "./dewy.ts";
import { filePublisher } from "./publishers.ts";
import { slack } from "./slack.ts";

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
