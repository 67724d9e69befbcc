import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { missingEngine } from "../../peers/container_engine.ts";
import { missingDockerRegistry } from "../../peers/docker_registry.ts";
import { runDewy, until } from "../dewy.ts";
import { deployed } from "../server/served_app.ts";
import { newOperator } from "../steer/operator.ts";
import { get, NODE, runningOnly, type SteeredContainers, steerContainers } from "./outcomes.ts";
import {
  type ContainerPeers,
  type ServedContainers,
  serveContainers,
  startContainerPeers,
} from "./served_containers.ts";

const [OLD, NEW, NEXT] = ["v1.0.0", "v1.1.0", "v1.2.0"];
const HOUR_MS = 3_600_000;

/** Waits until the container of the version before it, which has stopped, is removed as well. */
async function onlyContainer(app: ServedContainers, tag: string): Promise<void> {
  const tags = async (): Promise<string[]> => (await app.containers()).map((one) => one.tag);
  await expect.poll(tags).toEqual([tag]);
}

describe.each(["docker", "podman"] as const)(
  "what an operator sees of containers, with %s",
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
      const listed = async (app: SteeredContainers): Promise<string> => {
        const port = app.command().argv.at(app.command().argv.indexOf("--admin-port") + 1) ?? "";
        const args = ["container", "list", "--admin-port", port, "--runtime", engine];
        const options = { cwd: app.root, env: peers.engine.env };
        return (await runDewy(NODE.command, args, options)).stdout;
      };

      it("status names the replicas, is degraded without one of them, and history says why", {
        timeout: 120_000,
      }, async () => {
        // Long enough to be seen without the replica.
        const image = { env: { START_DELAY: "4000" } };
        const flags = ["--replicas", "2", "--surge", "2", "-i", "1h"];
        const app = await steerContainers(peers, [OLD], { flags, image });
        const { operator, dewy } = app;
        const before = await operator.status();
        const names = (await app.containers()).map(({ name }) => name).sort();
        const replicas = before.app?.replicas ?? [];
        expect(before).toMatchObject({
          name: app.app,
          mode: "container",
          live: { tag: OLD },
          app: { health: "serving", wanted: 2, restarts: 0 },
        });
        expect(replicas.map(({ container }) => container).sort()).toEqual(names);
        for (const { tag, state, since, address } of replicas) {
          expect({ tag, state }).toEqual({ tag: OLD, state: "serving" });
          expect(Math.abs(Date.now() - Date.parse(since ?? ""))).toBeLessThan(60_000);
          const own = await fetch(`http://${address}/`);
          expect(await own.text()).toMatch(/^v1\.0\.0 /);
        }

        const [lost] = replicas;
        await fetch(`http://${lost?.address}/exit?9`, { method: "POST" }).catch(() => {});
        let status = before;
        await until(
          async () => {
            status = await operator.status();
            return status.app?.health !== "serving";
          },
          () => `a replica is lost\n${dewy.stderr()}`,
        );
        expect(status.app).toMatchObject({ health: "degraded", wanted: 2 });
        const serving = status.app?.replicas?.filter(({ state }) => state === "serving");
        expect(serving).toMatchObject([{ container: replicas[1]?.container }]);
        expect(await operator.succeed("status")).toMatch(/degraded \(1 of 2\)|serving \(2 of 2\)/);
        await expect
          .poll(() => operator.history("--event", "replica-lost"))
          .toMatchObject([
            { tag: OLD, container: lost?.container, reason: "it exited with exit code 9" },
          ]);
        expect(await operator.succeed("history")).toMatch(/replica-lost.*exit code 9/);
        await runningOnly(app, [OLD, OLD], dewy.stderr);
        await until(
          async () => (await operator.status()).app?.health === "serving",
          () => dewy.stderr(),
        );
        expect((await operator.status()).app).toMatchObject({ restarts: 1 });
      });

      it("--dry-run starts nothing and changes nothing, with dewy and without", {
        timeout: 120_000,
      }, async () => {
        const app = await steerContainers(peers, [OLD, NEW], {
          flags: ["-i", "1h", "--keep-containers"],
        });
        const { operator, dewy } = app;
        await onlyContainer(app, NEW);
        const before = { ids: await app.containers(), list: await listed(app) };
        const expectUntouched = async (): Promise<void> => {
          expect(await app.containers()).toEqual(before.ids);
          expect(await answer(app)).toBe(NEW);
          expect(await operator.status()).toMatchObject({ live: { tag: NEW }, skipped: [] });
        };
        expect(before.list).toContain(before.ids[0]?.name);
        expect(await operator.succeed("rollback", "--dry-run")).toMatch(/would.*v1\.0\.0/);
        await app.publish(NEXT);
        expect(await operator.succeed("deploy", NEXT, "--dry-run")).toMatch(
          /would deploy v1\.2\.0/,
        );
        expect(await listed(app)).toBe(before.list);
        await expectUntouched();

        const busy = app.restart(["--dry-run"]);
        expect(await busy.ended()).not.toBe(0);
        expect(busy.stderr()).toMatch(/dewy deploy TAG --dry-run/);
        await expectUntouched();

        dewy.child.kill("SIGTERM");
        expect(await dewy.ended(), dewy.stderr()).toBe(0);
        const dry = app.restart(["--dry-run"]);
        expect(await dry.ended(), dry.stderr()).toBe(0);
        expect(dry.stderr()).toMatch(/v1\.2\.0/);
        expect(await app.containers()).toEqual(before.ids);
        // What it pulled is there already.
        const next = app.restart();
        await deployed(next, NEXT);
        expect(next.lines().filter(({ msg }) => /pull/i.test(msg))).toEqual([]);
      });

      it("pin, pause and skip keep versions from coming, and say so", {
        timeout: 120_000,
      }, async () => {
        const app = await steerContainers(peers, [OLD, NEW], { flags: ["-i", "1h"] });
        const { operator, dewy } = app;
        const waiting = async (): Promise<unknown> => {
          await operator.run("poll");
          return (await operator.status()).waiting.map(({ tag, why }) => `${tag} ${why}`);
        };
        await operator.succeed("pin", OLD);
        expect(await answer(app)).toBe(OLD);
        expect(await waiting()).toEqual([`${NEW} pinned`]);
        await app.publish(NEXT);
        expect(await waiting()).toEqual([`${NEXT} pinned`]);
        await operator.succeed("skip", NEXT);
        await operator.succeed("pause");
        await operator.succeed("unpin");
        expect(await waiting()).toEqual([`${NEXT} skipped`, `${NEW} paused`]);
        expect(await answer(app)).toBe(OLD);
        await operator.succeed("resume");
        await operator.succeed("poll");
        expect(await answer(app)).toBe(NEW);
        await operator.succeed("unskip");
        await operator.succeed("poll");
        expect(await answer(app)).toBe(NEXT);
        await runningOnly(app, [NEXT], dewy.stderr);
      });

      it.runIf(engine === "docker")(
        "--min-age counts from the first sight of an image without a date, and windows hold back",
        { timeout: 120_000 },
        async () => {
          const hours = new Date().getUTCHours() < 12 ? "18:00-20:00" : "04:00-06:00";
          const held = ["--min-age", "2h", "--window", `mon-sun ${hours} UTC`];
          const app = await steerContainers(peers, [OLD], { flags: ["-i", "1h"] });
          app.dewy.child.kill("SIGTERM");
          await app.dewy.ended();
          const dewy = app.restart(held);
          await dewy.seen("a poll", ({ msg }) => msg === "Poll finished");
          await app.publish(NEW);
          await app.operator.succeed("poll");
          const [young] = (await app.operator.status()).waiting;
          expect(young).toMatchObject({ tag: NEW, why: "min-age" });
          const until = Date.parse(young?.until ?? "");
          expect(until).toBeGreaterThan(Date.now() + 1.9 * HOUR_MS);
          expect(until).toBeLessThan(Date.now() + 2.1 * HOUR_MS);
          expect(young?.reason).toMatch(/first seen/);
          await app.operator.succeed("deploy", NEW);
          expect(await answer(app)).toBe(NEW);
          await app.operator.succeed("rollback");
          dewy.child.kill("SIGTERM");
          await dewy.ended();

          const next = app.restart(held.slice(2));
          await next.seen("a poll", ({ msg }) => msg === "Poll finished");
          await app.publish(NEXT);
          await app.operator.succeed("poll");
          expect((await app.operator.status()).waiting).toMatchObject([
            { tag: NEXT, why: "window" },
          ]);
          expect(await answer(app)).toBe(OLD);
        },
      );

      it.runIf(engine === "docker")(
        "a command names one of two apps on a host",
        { timeout: 120_000 },
        async () => {
          const operator = await newOperator();
          const apps = [
            await serveContainers(peers, NODE),
            await serveContainers(peers, NODE),
          ] as const;
          for (const app of apps) {
            await app.publish(OLD);
            const dewy = app.start(["-i", "1h"], operator.env);
            await deployed(dewy, OLD);
            await app.publish(NEW);
            await operator.succeed("poll", "--name", app.app);
          }
          const [one, other] = apps;
          await onlyContainer(other, NEW);
          const untouched = await other.containers();
          const vague = await operator.run("rollback");
          expect(vague.code, vague.text).not.toBe(0);
          expect(vague.text).toContain(one.app);
          expect(vague.text).toContain(other.app);
          expect(await get(one)).toMatch(/^v1\.1\.0 /);
          await operator.succeed("rollback", "--name", one.app);
          expect(await get(one)).toMatch(/^v1\.0\.0 /);
          await operator
            .succeed("rollback", "--directory", one.directory, "--dry-run")
            .catch(() => {});
          expect(await get(other)).toMatch(/^v1\.1\.0 /);
          expect(await other.containers()).toEqual(untouched);
          const table = await operator.succeed("status");
          expect(table).toMatch(new RegExp(`${one.app} +container +v1\\.0\\.0`));
          expect(table).toMatch(new RegExp(`${other.app} +container +v1\\.1\\.0`));
        },
      );
    });
  },
);
