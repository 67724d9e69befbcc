import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { appImage } from "../../peers/container_app.ts";
import { missingEngine } from "../../peers/container_engine.ts";
import { LOGIN, missingDockerRegistry, startDockerRegistry } from "../../peers/docker_registry.ts";
import { until } from "../dewy.ts";
import { deployed } from "../server/served_app.ts";
import { endPolitely, get, NODE } from "./outcomes.ts";
import { type ContainerPeers, serveContainers, startContainerPeers } from "./served_containers.ts";

const missing = missingEngine("docker") ?? missingDockerRegistry();

describe.skipIf(missing !== undefined)(missing ?? "dewy container and the registry", () => {
  let peers: ContainerPeers;
  beforeAll(async () => {
    peers = await startContainerPeers("docker");
  });
  afterAll(() => peers?.stop());

  it("keeps running, and starts, while the registry is down", { timeout: 120_000 }, async () => {
    const registry = await startDockerRegistry();
    const app = await serveContainers(peers, NODE, { registry });
    await app.publish("v1.0.0");
    let dewy = app.start();
    await deployed(dewy, "v1.0.0");
    await registry.stop();
    await dewy.seen("a failed poll", ({ msg }) => msg === "Poll failed");
    expect(await get(app)).toMatch(/^v1\.0\.0 /);
    await endPolitely(app, dewy);
    dewy = app.start();
    await until(
      () =>
        get(app).then(
          (text) => text.startsWith("v1.0.0 "),
          () => false,
        ),
      () => `an answer\n${dewy.stderr()}`,
    );
    await endPolitely(app, dewy);
  });

  it("deploys the newest remaining version if a tag is deleted", {
    timeout: 120_000,
  }, async () => {
    const app = await serveContainers(peers, NODE);
    await app.publish("v1.0.0");
    await app.publish("v1.1.0");
    const dewy = app.start();
    await deployed(dewy, "v1.1.0");
    await peers.registry.remove(app.app, "v1.1.0");
    await deployed(dewy, "v1.0.0");
    expect(await get(app)).toMatch(/^v1\.0\.0 /);
    await endPolitely(app, dewy);
  });

  it.each([
    ["", "v1.0.0"],
    ["?pre-release=true", "v2.0.0-rc.1"],
  ])('chooses with the query "%s" %s', async (query, chosen) => {
    const app = await serveContainers(peers, NODE, { query });
    for (const tag of ["v1.0.0", "v2.0.0-rc.1", "latest"]) await app.publish(tag);
    const dewy = app.start();
    await deployed(dewy, chosen);
    expect(await get(app)).toMatch(`${chosen} `);
    await endPolitely(app, dewy);
  });

  it("follows only its slot", async () => {
    const app = await serveContainers(peers, NODE);
    for (const tag of ["v1.0.0_blue", "v1.1.0_green", "v1.2.0"]) await app.publish(tag);
    const dewy = app.start(["--slot", "blue"]);
    await deployed(dewy, "v1.0.0_blue");
    await app.publish("v1.3.0_green");
    await app.publish("v1.0.1_blue");
    await deployed(dewy, "v1.0.1_blue");
    await endPolitely(app, dewy);
  });

  it("chooses the image for this platform from an index", async () => {
    const app = await serveContainers(peers, NODE);
    const platforms = ["linux/arm64", `linux/${process.arch === "x64" ? "amd64" : process.arch}`];
    const image = await appImage({ version: "v1.0.0" });
    await peers.registry.pushIndex(app.app, "v1.0.0", platforms, image);
    const dewy = app.start();
    await deployed(dewy, "v1.0.0");
    expect(await get(app)).toMatch(/^v1\.0\.0 /);
    await endPolitely(app, dewy);
  });

  it.each(["htpasswd", "token"] as const)(
    "pulls from a private registry (%s) with its login, without revealing it",
    async (auth) => {
      const registry = await startDockerRegistry({ auth });
      try {
        const app = await serveContainers(peers, NODE, { registry });
        await app.publish("v1.0.0");
        const env = { DOCKER_USERNAME: LOGIN.username, DOCKER_PASSWORD: LOGIN.password };
        const dewy = app.start([], env);
        await deployed(dewy, "v1.0.0");
        await endPolitely(app, dewy);
        expect(dewy.stderr() + dewy.stdout()).not.toMatch(LOGIN.password);
        for (const file of await readdir(app.directory, {
          recursive: true,
          withFileTypes: true,
        })) {
          if (!file.isFile()) continue;
          const text = await readFile(join(file.parentPath, file.name), "utf8");
          expect(text, file.name).not.toMatch(LOGIN.password);
        }
      } finally {
        await registry.stop();
      }
    },
  );
});
