import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { missingEngine } from "../../peers/container_engine.ts";
import { missingDockerRegistry } from "../../peers/docker_registry.ts";
import { type CliRuntime, cliRuntimes, until } from "../dewy.ts";
import type { LaneResult } from "../server/load.ts";
import { deployed, expectNothingLost, startTestLoad } from "../server/served_app.ts";
import { lanes } from "../server/start_load.ts";
import { type ContainerPeers, serveContainers, startContainerPeers } from "./served_containers.ts";

/** `npm run soak` updates fifty times. */
const isSoak = process.env.DEWY_SOAK === "1";
const UPDATES = isSoak ? 50 : 4;
const MINUTES = isSoak ? 30 : 3;
const SLOW_MS = 10_000;
const UPLOAD_BYTES = 32 * 1024 * 1024;
/** About four seconds with the pauses. */
const MESSAGES = 80;

describe.each(["docker", "podman"] as const)(
  "rolling updates of real containers with %s",
  (engine) => {
    const missing = missingEngine(engine) ?? missingDockerRegistry();
    describe.skipIf(missing !== undefined)(missing ?? "under load", () => {
      let peers: ContainerPeers;
      beforeAll(async () => {
        peers = await startContainerPeers(engine);
      });
      afterAll(() => peers?.stop());

      const updates = engine === "docker" ? UPDATES : Math.ceil(UPDATES / 2);
      it.each(isSoak && engine === "docker" ? cliRuntimes : cliRuntimes.slice(0, 1))(
        `$name loses no request in ${updates} updates under every kind of load`,
        { timeout: MINUTES * 60_000 },
        (runtime) => updateUnderLoad(runtime),
      );

      async function updateUnderLoad(runtime: CliRuntime): Promise<void> {
        // The stop signal kills the app: it cannot finish its requests.
        const app = await serveContainers(peers, runtime, { args: ["--stop-signal", "KILL"] });
        await app.publish("v1.0.0");
        const dewy = app.start(["--replicas", "2", "--surge", "2"]);
        await deployed(dewy, "v1.0.0");
        const target = { host: "127.0.0.1", port: app.port };
        const load = await startTestLoad([
          lanes.keepAlive(target),
          lanes.perRequest(target),
          { ...lanes.slow(target), name: "slow", path: `/slow?${SLOW_MS}` },
          lanes.echo(target, MESSAGES),
          lanes.upload(target, UPLOAD_BYTES),
        ]);
        for (let minor = 1; minor <= updates; minor += 1) {
          const version = `v1.${minor}.0`;
          await app.publish(version);
          await deployed(dewy, version);
          await until(
            () => load.versions().some((seen) => seen.version === version),
            () => `an answer of ${version}\n${dewy.stderr()}`,
          );
        }
        const result = await load.stop();
        const about = `${runtime.name}\n${JSON.stringify(result.lanes)}\n${dewy.stderr()}`;
        if (isSoak) console.log(runtime.name, engine, JSON.stringify(result.lanes.map(figures)));
        expectNothingLost(result, about);
        // The proxy moved connections between two requests, so no client found one closed.
        expect(result.total.retried, about).toBe(0);
        // The last replicas of the previous release may still drain.
        await until(
          async () => (await app.running()).join() === `v1.${updates}.0,v1.${updates}.0`,
          () => about,
        );
        expect(await app.answers(), about).toBe(result.total.answered);
        dewy.child.kill("SIGTERM");
        expect(await dewy.ended(), dewy.stderr()).toBe(0);
        expect(await app.containers()).toEqual([]);
      }
    });
  },
);

function figures({ name, sent, answered, retried, connections, latency }: LaneResult): object {
  return { name, sent, answered, retried, connections, latency };
}
