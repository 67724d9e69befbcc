import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { ConnectionReset } from "../fakes/serve.ts";
import { tempDirectory } from "../support/temp_directory.ts";
import { makeArtifact } from "./archive.ts";
import { cliRuntimes, runDewy, startDewy, until } from "./dewy.ts";
import { filePublisher } from "./publishers.ts";
import { slack } from "./slack.ts";

const STARTED = "Automatic shipping started by *Dewy* (v0.1.0: assets)";
const DOWNLOADED = "Downloaded artifact for `v1.0.0`";
const DEPLOYED = "Deployed `v1.0.0`";

interface Outage {
  args: readonly string[];
  options: { cwd: string; env: Record<string, string> };
  /** The texts that Slack has seen since the last call. */
  texts(): string[];
  file(name: string): Promise<string>;
}

async function outage(answer: () => Promise<Response>): Promise<Outage> {
  const { texts, url } = await slack(answer);
  const publisher = await filePublisher();
  await publisher.publish("v1.0.0", await makeArtifact("v1.0.0"));
  const cwd = await tempDirectory();
  const flags = ["--log-format", "json", "--log-level", "info", "--interval", "1h"];
  return {
    args: ["assets", "--registry", publisher.url, "--notifier", "slack://deploy", ...flags],
    options: { cwd, env: { SLACK_TOKEN: "xoxb-secret-token", SLACK_API_URL: url } },
    texts: () => texts.splice(0),
    file: (name) => readFile(join(cwd, ".dewy", name), "utf8").catch(() => ""),
  };
}

it.each(cliRuntimes)(
  "what could not be sent because Slack was down is sent after a restart: $name",
  async ({ command }) => {
    let isDown = true;
    const { args, options, texts } = await outage(async () => {
      if (isDown) throw new ConnectionReset();
      return Response.json({ ok: true });
    });
    const first = await runDewy(command, [...args, "--once"], options);
    expect(first.code, first.stderr).toBe(0);
    expect(first.lines).toContainEqual(
      expect.objectContaining({ msg: "Notifications wait for the next start", count: 3 }),
    );
    expect(new Set(texts())).toEqual(new Set([STARTED]));
    isDown = false;
    await runDewy(command, [...args, "--once"], options);
    expect(texts()).toEqual([STARTED, DOWNLOADED, DEPLOYED, STARTED]);
    await runDewy(command, [...args, "--once"], options);
    expect(texts()).toEqual([STARTED]);
  },
);

it.each(cliRuntimes)(
  "SIGKILL between an event and its delivery loses no notification: $name",
  async ({ command }) => {
    let accepted = 0;
    let limit = 1;
    const { args, options, texts, file } = await outage(async () => {
      accepted += 1;
      return accepted <= limit ? Response.json({ ok: true }) : await new Promise(() => {});
    });
    const dewy = startDewy(command, args, options);
    // The next notification has been sent, and stays without an answer: what Slack gets later is sent again.
    const isReady = async (): Promise<boolean> => {
      if (accepted <= limit) return false;
      const isRecorded = (await file("journal.jsonl")).includes('"event":"deployed"');
      return isRecorded && (await file("notified.json")).includes('"id"');
    };
    await until(isReady, () => `the deploy; log:\n${dewy.stderr()}`);
    dewy.child.kill("SIGKILL");
    await dewy.ended();
    expect(texts()[0]).toBe(STARTED);
    limit = Number.POSITIVE_INFINITY;
    const second = await runDewy(command, [...args, "--once"], options);
    expect(second.code, second.stderr).toBe(0);
    expect(texts()).toEqual([DOWNLOADED, DEPLOYED, STARTED]);
  },
);
