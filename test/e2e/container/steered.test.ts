import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { missingEngine } from "../../peers/container_engine.ts";
import { missingDockerRegistry } from "../../peers/docker_registry.ts";
import { deployed, expectNothingLost } from "../server/served_app.ts";
import { newOperator } from "../steer/operator.ts";
import { pagedAtNight } from "../steer/paged.ts";
import { get, NODE, startLoad } from "./outcomes.ts";
import { type ContainerPeers, serveContainers, startContainerPeers } from "./served_containers.ts";

describe.each(["docker", "podman"] as const)("steering dewy container with %s", (engine) => {
  const missing = missingEngine(engine) ?? missingDockerRegistry();
  describe.skipIf(missing !== undefined)(missing ?? "as a real engine", () => {
    let peers: ContainerPeers;
    beforeAll(async () => {
      peers = await startContainerPeers(engine);
    });
    afterAll(() => peers?.stop());

    it("an operator who is paged at night finds out why, goes back, pins, and lets the fix come", {
      timeout: 180_000,
    }, async () => {
      const operator = await newOperator();
      const app = await serveContainers(peers, NODE);
      await app.publish("v1.0.0");
      const dewy = app.start([], operator.env);
      await deployed(dewy, "v1.0.0");
      await pagedAtNight({
        operator,
        dewy,
        publish: app.publish,
        publishUnusable: (tag) => app.publish(tag, { env: { FAIL: "3" } }),
        whyUnusable: /no database/,
        publishBroken: app.publish,
        answer: async () => (await get(app)).split(" ", 1)[0] ?? "",
      });
    });

    it("rolls back from the local image without the registry, and loses no request", {
      timeout: 120_000,
    }, async () => {
      const operator = await newOperator();
      const app = await serveContainers(peers, NODE);
      await app.publish("v1.0.0");
      const dewy = app.start(["--replicas", "2"], operator.env);
      await deployed(dewy, "v1.0.0");
      await app.publish("v1.1.0");
      await deployed(dewy, "v1.1.0");
      const load = await startLoad(app);
      await operator.succeed("rollback");
      expect(await get(app)).toMatch(/^v1\.0\.0 /);
      await operator.succeed("restart");
      await operator.succeed("deploy", "v1.1.0");
      expect(await get(app)).toMatch(/^v1\.1\.0 /);
      expectNothingLost(await load.stop(), dewy.stderr());
      expect(await operator.status()).toMatchObject({
        mode: "container",
        live: { tag: "v1.1.0" },
        app: { health: "serving", wanted: 2, replicas: [{ tag: "v1.1.0" }, { tag: "v1.1.0" }] },
      });
    });
  });
});
