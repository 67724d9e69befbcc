import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { missingEngine } from "../../peers/container_engine.ts";
import { missingDockerRegistry } from "../../peers/docker_registry.ts";
import { type CliRuntime, cliRuntimes, until } from "../dewy.ts";
import { deployed } from "../server/served_app.ts";
import { slack } from "../slack.ts";
import { type ContainerPeers, serveContainers, startContainerPeers } from "./served_containers.ts";

const [NODE] = cliRuntimes as [CliRuntime, ...CliRuntime[]];
const missing = missingEngine("docker") ?? missingDockerRegistry();

describe.skipIf(missing !== undefined)(missing ?? "notifications of dewy container", () => {
  let peers: ContainerPeers;
  beforeAll(async () => {
    peers = await startContainerPeers("docker");
  });
  afterAll(() => peers?.stop());

  it.each([
    [
      "everything",
      "slack://deploy",
      [
        /^Automatic shipping started by \*Dewy\* \(v[\d.]+: container\)$/,
        /^Pulled image for `v1\.0\.0`$/,
        /^Container deployed successfully: `2\/2` replicas of `v1\.0\.0`$/,
        /^Pulled image for `v1\.1\.0`$/,
        /^Rolled back from `v1\.1\.0` to `v1\.0\.0`: .*exited with exit code 3.*no database/,
        /^Error occurred \(count: 1\): .*v1\.1\.0.*exited with exit code 3/,
        /^Container `app\d+-\d+-\d` of `v1\.0\.0` is lost: it exited with exit code 137 after a stop or kill that was not dewy's, replaced in [\d.]+m?s\n```\n/,
        /^Restarted receiving by `SIGHUP` signal$/,
        /^Stop receiving by `terminated` signal$/,
      ],
    ],
    [
      "the important events of a quiet channel",
      "slack://deploy?quiet=true",
      [
        /^Container deployed successfully: `2\/2` replicas of `v1\.0\.0`$/,
        /^Rolled back from `v1\.1\.0` to `v1\.0\.0`: /,
        /^Error occurred \(count: 1\): /,
        /^Container `app\d+-\d+-\d` of `v1\.0\.0` is lost: /,
      ],
    ],
  ])("%s", { timeout: 120_000 }, async (_, notifier, wanted) => {
    const { texts, url } = await slack(async () => Response.json({ ok: true, ts: "1.1" }));
    const app = await serveContainers(peers, NODE);
    await app.publish("v1.0.0");
    const dewy = app.start(["--replicas", "2", "--notifier", notifier], {
      SLACK_TOKEN: "xoxb-secret-token",
      SLACK_API_URL: url,
    });
    await deployed(dewy, "v1.0.0");
    await app.publish("v1.1.0", { env: { FAIL: "3" } });
    await dewy.seen("the bad version", ({ msg }) => msg.startsWith("Bad version skipped"));
    const one = (await app.containers()).find(({ state }) => state === "running");
    await peers.engine.run("kill", one?.id ?? "");
    await dewy.seen("the loss", ({ msg }) => msg === "Container lost");
    await until(
      () => texts.some((text) => text.includes("is lost")),
      () => `another replica\n${dewy.stderr()}`,
    );
    dewy.child.kill("SIGHUP");
    await dewy.seen("the restart", ({ msg }) => msg === "App restarting");
    dewy.child.kill("SIGTERM");
    expect(await dewy.ended()).toBe(0);
    expect(texts, texts.join("\n")).toHaveLength(wanted.length);
    wanted.forEach((pattern, index) => {
      expect(texts[index]).toMatch(pattern);
    });
    expect(dewy.stderr()).not.toContain("xoxb");
  });
});
