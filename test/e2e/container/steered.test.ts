import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import type { DeployState } from "../../../src/deploy/state.ts";
import { fakeS3 } from "../../fakes/s3.ts";
import { serveFetch } from "../../fakes/serve.ts";
import { missingEngine } from "../../peers/container_engine.ts";
import { missingDockerRegistry } from "../../peers/docker_registry.ts";
import { type Dewy, until } from "../dewy.ts";
import { deployed, expectNothingLost } from "../server/served_app.ts";
import { newArm, stepsToKillAt } from "../steer/arm.ts";
import { newOperator } from "../steer/operator.ts";
import { pagedAtNight } from "../steer/paged.ts";
import { get, NODE, startLoad } from "./outcomes.ts";
import {
  type ContainerPeers,
  type ServedContainers,
  serveContainers,
  startContainerPeers,
} from "./served_containers.ts";

async function stateOf({ directory }: ServedContainers): Promise<DeployState> {
  return JSON.parse(await readFile(join(directory, ".dewy", "state.json"), "utf8"));
}

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

    it.runIf(engine === "docker")(
      "as a host of a fleet, takes versions by rollouts",
      {
        timeout: 180_000,
      },
      async () => {
        const bucket = fakeS3("bucket", Date.now);
        const store = await serveFetch(bucket.handler);
        onTestFinished(() => store.close());
        const rollout = (): unknown => {
          const { body } = bucket.objects.get("app/fleet/web/rollout.json") ?? {};
          return body && JSON.parse(new TextDecoder().decode(body));
        };
        const app = await serveContainers(peers, NODE);
        const cache = `s3://us-east-1/bucket/app?registry-ttl=1s&endpoint=${store.url}`;
        const fleet = ["--cache", cache, "--fleet", "web", "--member-ttl", "10s"];
        const env = { AWS_ACCESS_KEY_ID: "dewy", AWS_SECRET_ACCESS_KEY: "secret" };
        const dewy = app.start([...fleet, "--rollout", "1,100%", "--rollout-bake", "1s"], env);
        for (const tag of ["v1.0.0", "v1.1.0"]) {
          await app.publish(tag);
          await deployed(dewy, tag);
          await expect.poll(rollout, { timeout: 60_000 }).toMatchObject({ tag, state: "done" });
        }
        expect((await get(app)).split(" ", 1)[0]).toBe("v1.1.0");
      },
    );

    it.runIf(engine === "docker").each([
      { words: "rollback", to: "v1.0.0" },
      { words: "deploy v1.0.0", to: "v1.0.0" },
      { words: "restart", to: "v1.1.0" },
    ])(
      "SIGKILL at steps of $words: the containers keep serving, and the next start finishes the order",
      { timeout: 600_000 },
      async ({ words, to }) => {
        const [operator, arm] = [await newOperator(), await newArm()];
        const app = await serveContainers(peers, NODE);
        const start = (): Dewy => app.start(["-i", "1h"], { ...operator.env, ...arm.env });
        await app.publish("v1.0.0");
        let dewy = start();
        await deployed(dewy, "v1.0.0");
        await app.publish("v1.1.0");
        await operator.succeed("poll");
        await deployed(dewy, "v1.1.0");
        const whole = await arm.run(operator, words);
        expect(whole.code, whole.text).toBe(0);
        for (const { at, step } of stepsToKillAt(whole.steps, 2)) {
          await operator.succeed("unskip");
          await operator.succeed("deploy", "v1.1.0");
          const { code, text, wasKilled } = await arm.run(operator, words, at);
          if (!wasKilled) continue;
          await dewy.ended();
          const { order } = await stateOf(app);
          dewy = start();
          await dewy.seen("a poll", ({ msg }) => msg === "Poll finished");
          const about = `killed before step ${at}, ${step}\n${text}\n${dewy.stderr()}`;
          await until(
            async () => (await stateOf(app)).order === undefined,
            () => about,
          );
          const tag = (await operator.status()).live?.tag ?? "";
          if (order !== undefined || code === 0) expect(tag, about).toBe(to);
          await until(
            async () => (await app.running()).join() === tag,
            () => `${tag} alone; ${about}`,
          );
          expect(await get(app), about).toMatch(`${tag} `);
        }
      },
    );

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
      await expect
        .poll(() => operator.status())
        .toMatchObject({
          mode: "container",
          live: { tag: "v1.1.0" },
          app: { health: "serving", wanted: 2, replicas: [{ tag: "v1.1.0" }, { tag: "v1.1.0" }] },
        });
    });
  });
});
