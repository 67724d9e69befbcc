import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { eventStreams, missingEngine } from "../../peers/container_engine.ts";
import { missingDockerRegistry } from "../../peers/docker_registry.ts";
import { cliRuntimes, until } from "../dewy.ts";
import { deployed, expectNothingLost } from "../server/served_app.ts";
import { endPolitely, failureOf, get, NODE, startLoad } from "./outcomes.ts";
import { type ContainerPeers, serveContainers, startContainerPeers } from "./served_containers.ts";

describe.each(["docker", "podman"] as const)("dewy container with %s", (engine) => {
  const missing = missingEngine(engine) ?? missingDockerRegistry();
  describe.skipIf(missing !== undefined)(missing ?? "as a real engine", () => {
    let peers: ContainerPeers;
    beforeAll(async () => {
      peers = await startContainerPeers(engine);
    });
    afterAll(() => peers?.stop());

    it.each(engine === "docker" ? cliRuntimes : [NODE])(
      "deploys, updates, survives a bad version and SIGKILL, and cleans up, on $name",
      { timeout: 120_000 },
      async (runtime) => {
        const app = await serveContainers(peers, runtime);
        await app.publish("v1.0.0");
        let dewy = app.start();
        await deployed(dewy, "v1.0.0");
        expect(await get(app)).toMatch(/^v1\.0\.0 /);
        const [first] = await app.containers();
        expect(first?.name).toMatch(new RegExp(`^${app.app}-\\d{10}-0$`));
        const load = await startLoad(app);

        await app.publish("v1.1.0", { env: { FAIL: "3" } });
        const message = await failureOf(dewy, "v1.1.0");
        expect(message).toMatch("v1.1.0 cannot start: no database");
        expect(message).toMatch("3");
        expect(await app.running()).toEqual(["v1.0.0"]);

        await app.publish("v1.2.0");
        await deployed(dewy, "v1.2.0");
        await until(
          async () => (await app.containers()).map(({ tag }) => tag).join() === "v1.2.0",
          () => `v1.2.0 alone\n${dewy.stderr()}`,
        );
        expectNothingLost(await load.stop(), dewy.stderr());
        expect(await get(app)).toMatch(/^v1\.2\.0 /);

        const before = await app.containers();
        dewy.child.kill("SIGKILL");
        await dewy.ended();
        dewy = app.start();
        await dewy.seen("adoption", ({ msg }) => msg === "Containers from a previous run found");
        expect(await get(app)).toMatch(/^v1\.2\.0 /);
        await dewy.seen("a poll", ({ msg }) => msg === "Deploy skipped");
        expect(await app.containers()).toEqual(before);
        await endPolitely(app, dewy);
        // The stream of the killed dewy ends with the next event.
        await until(
          async () => (await eventStreams(engine, `dewy.app=${app.app}`)).length === 0,
          () => "the end of all event streams",
        );
      },
    );
  });
});
