import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { missingEngine } from "../../peers/container_engine.ts";
import { missingDockerRegistry } from "../../peers/docker_registry.ts";
import { cliRuntimes, until } from "../dewy.ts";
import { deployed } from "../server/served_app.ts";
import { lanes, startLoad } from "../server/start_load.ts";
import { type ContainerPeers, serveContainers, startContainerPeers } from "./served_containers.ts";

const [node] = cliRuntimes;
const missing = missingEngine("docker") ?? missingDockerRegistry();

describe.skipIf(missing !== undefined)(missing ?? "rolling updates under load", () => {
  let peers: ContainerPeers;
  beforeAll(async () => {
    peers = await startContainerPeers("docker");
  });
  afterAll(() => peers?.stop());

  it("first try", { timeout: 120_000 }, async () => {
    if (node === undefined) throw new Error("no Node");
    const app = await serveContainers(peers, node);
    await app.publish("v1.0.0");
    const dewy = app.start(["--replicas", "2"]);
    await deployed(dewy, "v1.0.0");
    const target = { host: "127.0.0.1", port: app.port };
    const load = await startLoad([lanes.keepAlive(target), lanes.perRequest(target)]);
    await app.publish("v1.1.0");
    await deployed(dewy, "v1.1.0");
    await until(
      async () => (await app.running()).join() === "v1.1.0,v1.1.0",
      () => dewy.stderr(),
    );
    const result = await load.stop();
    console.log(JSON.stringify(result.total), JSON.stringify(result.versions), await app.answers());
    dewy.child.kill("SIGTERM");
    expect(await dewy.ended(), dewy.stderr()).toBe(0);
    console.log(
      dewy
        .lines()
        .map((l) => JSON.stringify(l))
        .join("\n"),
    );
    expect(await app.containers()).toEqual([]);
  });
});
