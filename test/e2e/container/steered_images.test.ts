import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { missingEngine } from "../../peers/container_engine.ts";
import {
  type DockerRegistry,
  missingDockerRegistry,
  startDockerRegistry,
} from "../../peers/docker_registry.ts";
import { expectNothingLost } from "../server/served_app.ts";
import {
  get,
  runningOnly,
  type SteeredContainers,
  startLoad,
  steerContainers,
} from "./outcomes.ts";
import { type ContainerPeers, startContainerPeers } from "./served_containers.ts";

const [OLD, NEW] = ["v1.0.0", "v1.1.0"];

describe.each(["docker", "podman"] as const)(
  "the images of earlier versions, with %s",
  (engine) => {
    const missing = missingEngine(engine) ?? missingDockerRegistry();
    describe.skipIf(missing !== undefined)(missing ?? "as a real engine", () => {
      let peers: ContainerPeers;
      beforeAll(async () => {
        peers = await startContainerPeers(engine);
      });
      afterAll(() => peers?.stop());

      const answer = async (app: SteeredContainers): Promise<string> =>
        (await get(app)).split(" ", 1)[0] ?? "";
      const ownRegistry = async (): Promise<DockerRegistry> => {
        const registry = await startDockerRegistry();
        onTestFinished(() => registry.stop());
        return registry;
      };
      const imagesOf = async (app: SteeredContainers): Promise<string> =>
        peers.engine.run("images", "--filter", `reference=localhost/dewy/${app.app}`);

      it("serve again although the registry has moved or deleted their tags", {
        timeout: 180_000,
      }, async () => {
        const app = await steerContainers(peers, [OLD, NEW], { flags: ["-i", "1h"] });
        const { operator } = app;
        await app.publish(OLD, { env: { FAIL: "7" } });
        await peers.engine.run("image", "prune", "--force");
        expect(await operator.succeed("rollback")).toMatch(/rolled back from v1\.1\.0 to v1\.0\.0/);
        expect(await answer(app)).toBe(OLD);

        // A version is what it was when it ran here, whatever its name means elsewhere by now.
        await operator.succeed("deploy", NEW);
        const moved = await operator.run("deploy", OLD);
        expect(moved.code, moved.text).not.toBe(0);
        expect(moved.text).toMatch(/changed.*dewy rollback v1\.0\.0/s);
        expect(await answer(app)).toBe(NEW);

        await peers.registry.remove(app.app, OLD);
        const deleted = await operator.run("deploy", OLD);
        expect(deleted.code, deleted.text).not.toBe(0);
        expect(deleted.text).toMatch(/dewy rollback v1\.0\.0/);
        await operator.succeed("rollback", OLD);
        expect(await answer(app)).toBe(OLD);
        await runningOnly(app, [OLD], app.dewy.stderr);
      });

      it("serve again while the registry is down, and no request is lost", {
        timeout: 180_000,
      }, async () => {
        const registry = await ownRegistry();
        const app = await steerContainers(peers, [OLD, NEW], { registry });
        const { operator } = app;
        await registry.stop();
        const load = await startLoad(app);
        await operator.succeed("rollback");
        expect(await answer(app)).toBe(OLD);
        expect(await operator.succeed("deploy", NEW)).toMatch(/from this machine/);
        expect(await answer(app)).toBe(NEW);
        await operator.succeed("restart");
        expectNothingLost(await load.stop(), app.dewy.stderr());
        await runningOnly(app, [NEW], app.dewy.stderr);
      });

      it("are pulled again by a deploy, and named by a rollback, if they were removed", {
        timeout: 180_000,
      }, async () => {
        const registry = await ownRegistry();
        const app = await steerContainers(peers, [OLD, NEW], { registry, flags: ["-i", "1h"] });
        const { operator, dewy } = app;
        await peers.engine.run("image", "prune", "--all", "--force");
        expect(await imagesOf(app)).not.toContain(OLD);
        const refused = await operator.run("rollback");
        expect(refused.code, refused.text).not.toBe(0);
        expect(refused.text).toMatch(
          /removed from this machine; to pull it again: dewy deploy v1\.0\.0/,
        );
        expect(await answer(app)).toBe(NEW);
        expect((await operator.status()).skipped).toEqual([]);

        await operator.succeed("deploy", OLD);
        expect(await answer(app)).toBe(OLD);
        expect(await imagesOf(app)).toContain(OLD);

        await peers.engine.run("image", "prune", "--all", "--force");
        await registry.stop();
        const { order } = await operator.status();
        expect(order).toBeUndefined();
        const unreachable = await operator.run("deploy", NEW);
        expect(unreachable.code, unreachable.text).not.toBe(0);
        expect(unreachable.text).toMatch(/pull|reach|connect/i);
        expect(await answer(app)).toBe(OLD);
        const { bad, live } = await operator.status();
        expect({ bad, live }, dewy.stderr()).toMatchObject({ bad: [], live: { tag: OLD } });
        await runningOnly(app, [OLD], dewy.stderr);
      });

      it("stay with the releases that a rollback can return to", { timeout: 240_000 }, async () => {
        const tags = Array.from({ length: 9 }, (_, minor) => `v1.${minor}.0`);
        const app = await steerContainers(peers, tags, { flags: ["--bake", "0s", "-i", "1h"] });
        const { operator } = app;
        const kept = tags.slice(-7);
        await expect.poll(() => imagesOf(app), { timeout: 30_000 }).not.toContain("v1.1.0");
        for (const tag of kept) expect(await imagesOf(app)).toContain(tag);
        for (const tag of kept.slice(0, -1).reverse()) {
          await operator.succeed("rollback");
          expect(await answer(app)).toBe(tag);
        }
        const last = await operator.run("rollback");
        expect(last.code, last.text).not.toBe(0);
        expect(last.text).toMatch(/no earlier version/);
        const releases = JSON.parse(await operator.succeed("releases", "--json"));
        expect(JSON.stringify(releases)).toContain(kept[0]);
      });

      it.runIf(engine === "docker")(
        "of two apps from one repository do not depend on each other",
        { timeout: 240_000 },
        async () => {
          const options = { repository: "shared", flags: ["-i", "1h", "--bake", "0s"] };
          const one = await steerContainers(peers, [OLD, NEW], options);
          const other = await steerContainers(peers, [NEW], options);
          await other.operator.succeed("deploy", OLD);
          await other.operator.succeed("deploy", NEW);
          for (let minor = 2; minor < 9; minor += 1) {
            await one.publish(`v1.${minor}.0`);
            await one.operator.succeed("poll");
          }
          await expect.poll(() => imagesOf(one), { timeout: 30_000 }).not.toContain(NEW);
          await peers.engine.run("image", "prune", "--force");
          await other.operator.succeed("rollback");
          expect(await answer(other)).toBe(OLD);
          expect(await answer(one)).toBe("v1.8.0");
        },
      );

      it.runIf(engine === "docker")("are named if their record is damaged", async () => {
        const app = await steerContainers(peers, [OLD, NEW], { flags: ["-i", "1h"] });
        const releases = JSON.parse(
          await readFile(join(app.directory, ".dewy/state.json"), "utf8"),
        );
        const [{ directory }] = releases.releases;
        await writeFile(join(app.directory, "releases", directory, "image.json"), "{");
        const refused = await app.operator.run("rollback");
        expect(refused.code, refused.text).not.toBe(0);
        expect(refused.text).toMatch(/image\.json/);
        expect(await answer(app)).toBe(NEW);
      });
    });
  },
);
