import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { missingEngine } from "../../peers/container_engine.ts";
import { missingDockerRegistry } from "../../peers/docker_registry.ts";
import { tempDirectory } from "../../support/temp_directory.ts";
import { expectNothingLost, startTestLoad } from "../server/served_app.ts";
import { lanes } from "../server/start_load.ts";
import { get, runningOnly, startLoad, steerContainers } from "./outcomes.ts";
import { type ContainerPeers, startContainerPeers } from "./served_containers.ts";

const [OLD, NEW] = ["v1.0.0", "v1.1.0"];
/** `npm run soak` does it a hundred times, and in all shapes. */
const IS_SOAK = process.env.DEWY_SOAK === "1";
const TIMES = IS_SOAK ? 100 : 2;
const SHAPES = [
  { replicas: 1, surge: 1 },
  { replicas: 3, surge: 1 },
  { replicas: 2, surge: 0 },
  ...(IS_SOAK ? [{ replicas: 3, surge: 3 }] : []),
];

describe.each(["docker", "podman"] as const)("steering under load with %s", (engine) => {
  const missing = missingEngine(engine) ?? missingDockerRegistry();
  describe.skipIf(missing !== undefined)(missing ?? "as a real engine", () => {
    let peers: ContainerPeers;
    beforeAll(async () => {
      peers = await startContainerPeers(engine);
    });
    afterAll(() => peers?.stop());

    it.each(engine === "docker" ? SHAPES : SHAPES.slice(0, IS_SOAK ? 2 : 1))(
      "rollback, deploy and restart of $replicas with --surge $surge lose no request",
      { timeout: TIMES * 150_000 },
      async ({ replicas, surge }) => {
        const flags = ["--replicas", String(replicas), "--surge", String(surge), "-i", "1h"];
        // The stop signal kills the app: it cannot finish its requests.
        const args = ["--stop-signal", "KILL"];
        const app = await steerContainers(peers, [OLD, NEW], { flags, args });
        const { operator, dewy } = app;
        const target = { host: "127.0.0.1", port: app.port };
        const load = await startTestLoad([
          lanes.keepAlive(target),
          lanes.perRequest(target),
          { ...lanes.slow(target), path: "/slow?3000" },
        ]);
        for (let time = 0; time < TIMES; time += 1) {
          await operator.succeed("rollback");
          expect(await get(app)).toMatch(/^v1\.0\.0 /);
          await operator.succeed("deploy", NEW);
          expect(await get(app)).toMatch(/^v1\.1\.0 /);
        }
        const all = Array.from({ length: replicas }, () => NEW);
        await runningOnly(app, all, dewy.stderr);
        const ids = async (): Promise<string[]> =>
          (await app.containers()).flatMap(({ id, state }) => (state === "running" ? [id] : []));
        const before = await ids();
        await operator.succeed("restart");
        await runningOnly(app, all, dewy.stderr);
        expect((await ids()).filter((id) => before.includes(id))).toEqual([]);
        expectNothingLost(await load.stop(), dewy.stderr());
        await expect
          .poll(() => operator.status())
          .toMatchObject({
            live: { tag: NEW },
            app: { health: "serving", wanted: replicas },
          });
      },
    );

    it.runIf(engine === "docker")(
      "a rollback during an update gives the update up, and loses no request",
      { timeout: 120_000 },
      async () => {
        const app = await steerContainers(peers, [OLD], {
          flags: ["--replicas", "3", "-i", "1h"],
          image: { env: { START_DELAY: "1000" } },
        });
        const { operator, dewy } = app;
        const load = await startLoad(app);
        // Long enough for the commands that follow its first container.
        await app.publish(NEW, { env: { START_DELAY: "3000" } });
        const update = operator.begin("poll");
        await dewy.seen("the first container", ({ msg, tag }) => {
          return msg === "Container ready" && tag === NEW;
        });
        const during = await operator.status();
        expect(during.phase).toMatchObject({ name: "verify", tag: NEW });
        await operator.succeed("rollback", "--message", "wrong version");
        expect(await get(app)).toMatch(/^v1\.0\.0 /);
        expect((await update.answer).text).toMatch(/given up|superseded|v1\.0\.0/);
        await runningOnly(app, [OLD, OLD, OLD], dewy.stderr);
        expectNothingLost(await load.stop(), dewy.stderr());
        await expect
          .poll(() => operator.status())
          .toMatchObject({
            live: { tag: OLD },
            bad: [],
            skipped: [{ tag: NEW, message: "wrong version" }],
          });
      },
    );

    it.runIf(engine === "docker")(
      "a rollback that fails loses no request, and the version that served keeps serving",
      { timeout: 120_000 },
      async () => {
        const settings = join(await tempDirectory(), "env");
        await writeFile(settings, "");
        const flags = ["--replicas", "2", "--surge", "0", "-i", "1h"];
        const args = ["--env-file", settings];
        const app = await steerContainers(peers, [OLD, NEW], { flags, args });
        const { operator, dewy } = app;
        const load = await startLoad(app);
        await writeFile(settings, "FAIL=3\n");
        const { code, text } = await operator.run("rollback");
        expect(code, text).not.toBe(0);
        expect(text).toMatch(
          /Cannot roll back to v1\.0\.0: .*exit code 3.*v1\.1\.0 keeps serving/s,
        );
        // The room for the new container was that of an old one, which cannot start again either.
        const { live, app: degraded, skipped, bad, order } = await operator.status();
        expect({ live, skipped, bad, order }).toMatchObject({
          live: { tag: NEW },
          skipped: [],
          bad: [],
          order: undefined,
        });
        expect(degraded).toMatchObject({ health: "degraded", wanted: 2 });
        await writeFile(settings, "");
        await runningOnly(app, [NEW, NEW], dewy.stderr);
        expectNothingLost(await load.stop(), dewy.stderr());
        await expect.poll(async () => (await operator.status()).app?.health).toBe("serving");
        expect(await operator.succeed("rollback")).toMatch(/to v1\.0\.0/);
        await runningOnly(app, [OLD, OLD], dewy.stderr);
      },
    );
  });
});
