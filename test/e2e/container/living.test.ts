import { readFile, readlink } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { missingEngine } from "../../peers/container_engine.ts";
import { missingDockerRegistry } from "../../peers/docker_registry.ts";
import { until } from "../dewy.ts";
import { deployed } from "../server/served_app.ts";
import {
  answersOf,
  endPolitely,
  expectAlmostNothingLost,
  firstDeploy,
  get,
  NODE,
  replaced,
  startLoad,
} from "./outcomes.ts";
import { type ContainerPeers, serveContainers, startContainerPeers } from "./served_containers.ts";

const missing = missingEngine("docker") ?? missingDockerRegistry();

describe.skipIf(missing !== undefined)(missing ?? "dewy container in operation", () => {
  let peers: ContainerPeers;
  beforeAll(async () => {
    peers = await startContainerPeers("docker");
  });
  afterAll(() => peers?.stop());

  it("keeps three replicas behind the proxy, including during an update", {
    timeout: 120_000,
  }, async () => {
    const { app, dewy } = await firstDeploy(peers, ["--replicas", "3"]);
    await answersOf(app, "v1.0.0", 3);
    const counts: number[] = [];
    const counting = new AbortController();
    const counted = (async () => {
      // One listing, which sees all containers at the same time.
      const filters = ["--filter", `label=dewy.app=${app.app}`, "--filter", "status=running"];
      while (!counting.signal.aborted) {
        const ids = await peers.engine.run("ps", "--quiet", ...filters);
        counts.push(ids.trim().split("\n").length);
      }
    })();
    await app.publish("v1.1.0");
    await deployed(dewy, "v1.1.0");
    await until(
      async () => (await app.running()).join() === "v1.1.0,v1.1.0,v1.1.0",
      () => dewy.stderr(),
    );
    counting.abort();
    await counted;
    expect(Math.min(...counts)).toBe(3);
    expect(Math.max(...counts)).toBe(4);
    await answersOf(app, "v1.1.0", 3);
    await endPolitely(app, dewy);
  });

  it("replaces a replica that exits or becomes unhealthy", { timeout: 120_000 }, async () => {
    const { app, dewy } = await firstDeploy(peers, ["--replicas", "2"]);
    const before = (await app.containers()).map(({ id }) => id);
    const load = await startLoad(app);
    await peers.engine.run("kill", before[0] ?? "");
    await dewy.seen("the loss", ({ msg }) => msg === "Container lost");
    await replaced(app, dewy, before[0] ?? "");
    const sick = before[1] ?? "";
    const { ports } = (await peers.engine.engine.inspect(sick, AbortSignal.timeout(5_000))) ?? {};
    await fetch(`http://127.0.0.1:${ports?.[0]?.port}/health?503`, { method: "POST" });
    await replaced(app, dewy, sick);
    expectAlmostNothingLost(await load.stop());
    await endPolitely(app, dewy);
  });

  it("manages only its own app", { timeout: 120_000 }, async () => {
    const [one, other] = [await serveContainers(peers, NODE), await serveContainers(peers, NODE)];
    await Promise.all([one.publish("v1.0.0"), other.publish("v1.0.0")]);
    const [first, second] = [one.start(), other.start(["--replicas", "2"])];
    await Promise.all([deployed(first, "v1.0.0"), deployed(second, "v1.0.0")]);
    await one.publish("v1.1.0");
    await deployed(first, "v1.1.0");
    expect(await other.running()).toEqual(["v1.0.0", "v1.0.0"]);
    await endPolitely(one, first);
    expect(await other.running()).toEqual(["v1.0.0", "v1.0.0"]);
    expect(await get(other)).toMatch(/^v1\.0\.0 /);
    await endPolitely(other, second);
  });

  it("keeps the seven newest images of its app, and all images of others", {
    timeout: 120_000,
  }, async () => {
    const { app, dewy } = await firstDeploy(peers, ["--bake", "0s"]);
    const signal = new AbortController().signal;
    const { engine: docker } = peers.engine;
    const first = await docker.image(`localhost/dewy/${app.app}:v1.0.0`, signal);
    await docker.tag(first?.id ?? "", "localhost/somebody/else:v1", signal);
    for (let minor = 1; minor <= 8; minor += 1) {
      await app.publish(`v1.${minor}.0`);
      await deployed(dewy, `v1.${minor}.0`);
    }
    await until(
      async () => (await docker.imageNames(`localhost/dewy/${app.app}`, signal)).length === 7,
      () => dewy.stderr(),
    );
    const names = await docker.imageNames(`localhost/dewy/${app.app}`, signal);
    expect(names).not.toContain(`localhost/dewy/${app.app}:v1.0.0`);
    expect(await docker.image("localhost/somebody/else:v1", signal)).toBeDefined();
    expect(await peers.engine.run("images", "--filter", "dangling=true", "--quiet")).toBe("");
    await endPolitely(app, dewy);
  });

  it("replaces the containers if the operator's options change", {
    timeout: 120_000,
  }, async () => {
    const app = await serveContainers(peers, NODE);
    await app.publish("v1.0.0");
    let dewy = app.start(["--keep-containers"]);
    await deployed(dewy, "v1.0.0");
    const [before] = await app.containers();
    dewy.child.kill("SIGTERM");
    expect(await dewy.ended()).toBe(0);
    expect(await app.running()).toEqual(["v1.0.0"]);
    dewy = app.start(["--keep-containers", "--replicas", "2"]);
    await until(
      async () => (await app.running()).length === 2,
      () => dewy.stderr(),
    );
    expect((await app.containers()).map(({ id }) => id)).toContain(before?.id);
    dewy.child.kill("SIGTERM");
    expect(await dewy.ended()).toBe(0);
    dewy = app.start(["--replicas", "2", "--cmd", "/app", "--cmd", "with-an-argument"]);
    await replaced(app, dewy, before?.id ?? "");
    await endPolitely(app, dewy);
  });

  it("replaces the containers that a restart of the engine ended", {
    timeout: 120_000,
  }, async () => {
    const { app, dewy } = await firstDeploy(peers, ["--replicas", "2"]);
    const before = (await app.containers()).map(({ id }) => id);
    await peers.engine.crash();
    await dewy.seen("the outage", ({ msg }) => msg.startsWith("Cannot reach the container engine"));
    await peers.engine.revive();
    await until(
      async () => {
        const after = await app.containers();
        return (
          after.filter(({ state }) => state === "running").length === 2 &&
          after.every(({ id }) => !before.includes(id)) &&
          (await get(app).catch(() => "")).startsWith("v1.0.0 ")
        );
      },
      () => `two others\n${dewy.stderr()}`,
    );
    await answersOf(app, "v1.0.0", 2);
    expect(dewy.lines().filter(({ msg }) => msg === "Rolled back")).toEqual([]);
    await endPolitely(app, dewy);
  });

  it("points current at the running release", async () => {
    const { app, dewy } = await firstDeploy(peers);
    const release = await readlink(join(app.directory, "current"));
    const record = await readFile(join(app.directory, release, "image.json"), "utf8");
    expect(JSON.parse(record)).toMatchObject({
      tag: "v1.0.0",
      reference: expect.stringMatching(/@sha256:[0-9a-f]{64}$/),
    });
    await endPolitely(app, dewy);
  });
});
