import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { DeployState } from "../../../src/deploy/state.ts";
import { missingEngine } from "../../peers/container_engine.ts";
import { missingDockerRegistry } from "../../peers/docker_registry.ts";
import { until } from "../dewy.ts";
import { deployed, expectNothingLost } from "../server/served_app.ts";
import { endPolitely, firstDeploy, get, NODE, startLoad } from "./outcomes.ts";
import {
  type ContainerPeers,
  type ServedContainers,
  serveContainers,
  startContainerPeers,
} from "./served_containers.ts";

const missing = missingEngine("docker") ?? missingDockerRegistry();
/** For v1.2.0, a hook that waits until the file `go` exists. */
const HELD = `[ "$DEWY_TAG" != v1.2.0 ] || { touch here; while [ ! -e go ]; do sleep 0.1; done; }`;

describe.skipIf(missing !== undefined)(
  missing ?? "dewy container with a newer version during a bake",
  () => {
    let peers: ContainerPeers;
    beforeAll(async () => {
      peers = await startContainerPeers("docker");
    });
    afterAll(() => peers?.stop());

    it("lets it take over, and rolls back from it to the last good version", {
      timeout: 120_000,
    }, async () => {
      const app = await serveContainers(peers, NODE);
      await app.publish("v1.0.0");
      const first = app.start(["--keep-containers", "--drain-time", "1s"]);
      await deployed(first, "v1.0.0");
      first.child.kill("SIGTERM");
      await first.ended();
      await app.publish("v1.1.0");
      const dewy = app.start(["--bake", "10m", "--drain-time", "1s"]);
      const serves = (tag: string): Promise<unknown> =>
        dewy.seen(
          `${tag} serving`,
          (line) => /^New containers serving$/.test(line.msg) && line.tag === tag,
        );
      await serves("v1.1.0");
      const load = await startLoad(app);
      await app.publish("v1.2.0", { env: { CRASH_AFTER_PROBE: "8000" } });
      await serves("v1.2.0");
      await dewy.seen("the end of the bake", ({ msg, tag }) => {
        return msg === "Version superseded" && tag === "v1.1.0";
      });
      expectNothingLost(await load.stop(), dewy.stderr());
      const line = await dewy.seen("the rollback", ({ msg }) => msg === "Rolled back");
      expect(line).toMatchObject({ tag: "v1.2.0", to: "v1.0.0" });
      expect((await stateOf(app)).bad.map(({ tag }) => tag)).toEqual(["v1.2.0"]);
      await endPolitely(app, dewy);
    });

    it("rolls back at the fifth crash while a hook of the next version runs", {
      timeout: 120_000,
    }, async () => {
      const { app, dewy } = await firstDeploy(peers, ["--bake", "0", "--before-deploy-hook", HELD]);
      await app.publish("v1.1.0", { env: { CRASH_AFTER_PROBE: "2000" } });
      await deployed(dewy, "v1.1.0");
      await app.publish("v1.2.0");
      await until(
        () => stat(join(app.directory, "here")).then(Boolean, () => false),
        () => `the hook\n${dewy.stderr()}`,
      );
      await dewy.seen("the rollback", ({ msg, tag }) => msg === "Rolled back" && tag === "v1.1.0");
      await until(
        async () => (await app.running()).join() === "v1.0.0",
        () => `v1.0.0 again\n${dewy.stderr()}`,
      );
      expect(await get(app)).toMatch(/^v1\.0\.0 /);
      await writeFile(join(app.directory, "go"), "");
      await deployed(dewy, "v1.2.0");
      const { previous, releases } = await stateOf(app);
      expect(releases.find(({ directory }) => directory === previous)?.tag).toBe("v1.0.0");
      await endPolitely(app, dewy);
    });
  },
);

async function stateOf({ directory }: ServedContainers): Promise<DeployState> {
  return JSON.parse(await readFile(join(directory, ".dewy", "state.json"), "utf8"));
}
