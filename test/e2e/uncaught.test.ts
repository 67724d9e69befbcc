import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { serveFetch } from "../fakes/serve.ts";
import { ROOT } from "../runtime/runtimes.ts";
import { tempDirectory } from "../support/temp_directory.ts";
import { makeArtifact } from "./archive.ts";
import { cliRuntimes, type Dewy, liveVersion, runDewy, startDewy, until } from "./dewy.ts";
import { filePublisher } from "./publishers.ts";
import { slack } from "./slack.ts";

const PRELOAD = join(ROOT, "test", "e2e", "uncaught_preload.mjs");

/** The same command, with errors that nothing catches. */
function withUncaught(command: readonly [string, ...string[]]): readonly [string, ...string[]] {
  const [program, ...rest] = command;
  if (rest[0] === "run") return [program, "run", "--preload", PRELOAD, ...rest.slice(1)];
  if (program === process.execPath) return [program, "--import", PRELOAD, ...rest];
  return [program, "--preload", PRELOAD, ...rest];
}

/** Causes both errors, and waits until each is in the log `times` times. */
async function fail(dewy: Dewy, times: number): Promise<void> {
  dewy.child.kill("SIGUSR2");
  const count = (what: string): number =>
    dewy.lines().filter(({ error }) => String(error).includes(what)).length;
  await until(
    () => count("thrown in a timer") >= times && count("rejected") >= times,
    () => `both errors; exit code ${dewy.child.exitCode}; log:\n${dewy.stderr()}`,
  );
}

describe.each(cliRuntimes)("an uncaught error, on $name,", ({ command }) => {
  const failing = withUncaught(command);

  test("does not end an agent, and is logged and reported once", async () => {
    const { texts, url } = await slack(async () => Response.json({ ok: true, ts: "1.1" }));
    const [publisher, cwd] = [await filePublisher(), await tempDirectory()];
    await publisher.publish("v1.0.0", await makeArtifact("v1.0.0"));
    const dewy = startDewy(
      failing,
      [
        ...["assets", "--registry", publisher.url, "--interval", "1s", "--notifier", "slack://x"],
        ...["--log-level", "debug", "--log-format", "json"],
      ],
      { cwd, env: { SLACK_TOKEN: "xoxb-secret-token", SLACK_API_URL: url } },
    );
    const isLive = (tag: string) => async () => (await liveVersion(cwd)) === tag;
    await until(isLive("v1.0.0"), dewy.stderr);
    await fail(dewy, 1);
    await publisher.publish("v1.0.1", await makeArtifact("v1.0.1"));
    await until(isLive("v1.0.1"), dewy.stderr);
    dewy.child.kill("SIGUSR2");
    await publisher.publish("v1.0.2", await makeArtifact("v1.0.2"));
    await until(isLive("v1.0.2"), dewy.stderr);
    dewy.child.kill("SIGTERM");
    expect(await dewy.ended()).toBe(0);

    const errors = dewy.lines().filter(({ level }) => level === "ERROR");
    expect(errors).toHaveLength(2);
    expect(dewy.lines().filter(({ level, stack }) => level === "DEBUG" && stack)).toHaveLength(2);
    const notified = texts.filter((text) => text.includes("an error"));
    expect(notified).toHaveLength(2);
    expect(dewy.stderr() + texts.join("\n")).not.toContain("xoxb");
  });

  test("does not end a gateway", async () => {
    const publisher = await filePublisher();
    const dewy = startDewy(
      failing,
      ["registry", "--upstream", publisher.url, "--port", "0", "--log-format", "json"],
      { cwd: await tempDirectory() },
    );
    const { url } = await dewy.seen("Listening", ({ msg }) => msg === "Listening");
    await fail(dewy, 1);
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
    dewy.child.kill("SIGTERM");
    expect(await dewy.ended()).toBe(0);
  });

  test("ends a command that only prints an answer", async () => {
    const silent = await serveFetch(() => new Promise(() => {}));
    onTestFinished(() => silent.close());
    const { code, stderr } = await runDewy(failing, ["check", "ghr://owner/repo"], {
      cwd: await tempDirectory(),
      env: { FAIL_AT_ONCE: "1", GITHUB_API_URL: silent.url },
    });
    expect(code).toBe(4);
    expect(stderr).toMatch(/^Error: .*an error .*; this is a bug in dewy\n$/);
  });
});
