import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { missingEngine } from "../../peers/container_engine.ts";
import { missingDockerRegistry } from "../../peers/docker_registry.ts";
import { until } from "../dewy.ts";
import { deployed, expectNothingLost } from "../server/served_app.ts";
import {
  endPolitely,
  expectAlmostNothingLost,
  failureOf,
  firstDeploy,
  get,
  NODE,
  remembered,
  startLoad,
} from "./outcomes.ts";
import { type ContainerPeers, serveContainers, startContainerPeers } from "./served_containers.ts";

const missing = missingEngine("docker") ?? missingDockerRegistry();

describe.skipIf(missing !== undefined)(missing ?? "dewy container with a bad new version", () => {
  let peers: ContainerPeers;
  beforeAll(async () => {
    peers = await startContainerPeers("docker");
  });
  afterAll(() => peers?.stop());

  it.each([
    ["is not healthy", { env: { HEALTH: "503" } }, /503/, false],
    ["never listens", { env: { NO_LISTEN: "1" } }, /v1\.1\.0 starts/, false],
    ["has no program to run", { command: ["/nope"] }, /program is missing/, false],
    ["crashes during its bake", { env: { CRASH_AFTER_PROBE: "6000" } }, /v1\.1\.0 crashes/, true],
  ] as const)(
    "keeps the old version if the new one %s",
    { timeout: 120_000 },
    async (_, image, says, isLater) => {
      const app = await serveContainers(peers, NODE);
      await app.publish("v1.0.0");
      const bake = isLater ? "10s" : "500ms";
      const flags = ["--health-timeout", "3s", "--replicas", "2", "--bake", bake];
      const dewy = app.start(flags);
      await deployed(dewy, "v1.0.0");
      const load = await startLoad(app);
      await app.publish("v1.1.0", image);
      expect(await failureOf(dewy, "v1.1.0")).toMatch(says);
      expect(await remembered(app, dewy, "v1.1.0")).toMatch(says);
      await until(
        async () => (await app.containers()).map(({ state }) => state).join() === "running,running",
        () => dewy.stderr(),
      );
      expect(await app.running()).toEqual(["v1.0.0", "v1.0.0"]);
      const result = await load.stop();
      if (isLater) expectAlmostNothingLost(result);
      else expectNothingLost(result, dewy.stderr());
      expect(await get(app)).toMatch(/^v1\.0\.0 /);
      await endPolitely(app, dewy);
    },
  );

  it("rolls back if a proven version keeps crashing later", {
    timeout: 120_000,
  }, async () => {
    const { app, dewy } = await firstDeploy(peers, ["--bake", "0s"]);
    await app.publish("v1.1.0", { env: { CRASH_AFTER_PROBE: "2000" } });
    await deployed(dewy, "v1.1.0");
    const losses = (): number => dewy.lines().filter(({ msg }) => msg === "Container lost").length;
    await until(
      () => losses() >= 3,
      () => `three crashes\n${dewy.stderr()}`,
    );
    await dewy.seen("the crash loop", ({ msg }) => msg === "App keeps crashing");
    await until(
      async () => (await app.running()).join() === "v1.0.0",
      () => `v1.0.0 again\n${dewy.stderr()}`,
    );
    expect(await get(app)).toMatch(/^v1\.0\.0 /);
    expect(await remembered(app, dewy, "v1.1.0")).toMatch("crashed 5 times in a row");
    await dewy.seen(
      "the skipped version",
      ({ msg, tag }) => msg.startsWith("Bad version skipped") && tag === "v1.1.0",
    );
    await endPolitely(app, dewy);
  });

  it("keeps the old version if the new image cannot be pulled", {
    timeout: 120_000,
  }, async () => {
    const { app, dewy } = await firstDeploy(peers);
    await peers.registry.pushBroken(app.app, "v1.1.0");
    const failure = await failureOf(dewy, "v1.1.0");
    expect(failure).toMatch(/Cannot pull/);
    expect(await app.running()).toEqual(["v1.0.0"]);
    await app.publish("v1.2.0");
    await deployed(dewy, "v1.2.0");
    await endPolitely(app, dewy);
  });
});
