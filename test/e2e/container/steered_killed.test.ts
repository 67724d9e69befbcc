import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { missingEngine } from "../../peers/container_engine.ts";
import { missingDockerRegistry } from "../../peers/docker_registry.ts";
import { until } from "../dewy.ts";
import { expectNothingLost } from "../server/served_app.ts";
import { get, runningOnly, startLoad, stateOf, steerContainers } from "./outcomes.ts";
import { type ContainerPeers, startContainerPeers } from "./served_containers.ts";

const [OLD, NEW] = ["v1.0.0", "v1.1.0"];
const REPLICAS = 3;

const ENDS = [
  { signal: "SIGKILL", flags: [] },
  { signal: "SIGKILL", flags: ["--keep-containers"] },
  { signal: "SIGTERM", flags: ["--keep-containers"] },
  { signal: "SIGTERM", flags: [] },
] as const;

describe.each(["docker", "podman"] as const)(
  "a dewy that ends during a command, with %s",
  (engine) => {
    const missing = missingEngine(engine) ?? missingDockerRegistry();
    describe.skipIf(missing !== undefined)(missing ?? "as a real engine", () => {
      let peers: ContainerPeers;
      beforeAll(async () => {
        peers = await startContainerPeers(engine);
      });
      afterAll(() => peers?.stop());

      // steered.test.ts kills the others at each of their steps.
      const kills = process.env.DEWY_SOAK === "1" ? ENDS.slice(0, 1) : [];
      const cases = [
        ...ENDS.map((end) => ({ words: "rollback", ...end })),
        ...kills.map((end) => ({ words: `deploy ${OLD}`, ...end })),
        ...kills.map((end) => ({ words: "restart", ...end })),
      ].slice(0, engine === "docker" ? undefined : 1);
      it.each(cases)(
        "$signal during $words $flags: the next dewy adopts the containers and finishes it",
        { timeout: 180_000 },
        async ({ words, signal, flags: own }) => {
          const to = words === "restart" ? NEW : OLD;
          // Slow enough to end dewy between two containers.
          const image = { env: { START_DELAY: "1500" } };
          const flags = ["--replicas", String(REPLICAS), "--bake", "0s", "-i", "1h", ...own];
          const app = await steerContainers(peers, [OLD, NEW], { flags, image });
          const { operator, dewy } = app;
          await runningOnly(app, [NEW, NEW, NEW], dewy.stderr);
          const before = new Set((await app.containers()).map(({ id }) => id));
          const ready = (): number =>
            dewy.lines().filter(({ msg, tag }) => msg === "Container ready" && tag === to).length;
          const already = ready();
          const command = operator.begin(...words.split(" "));
          await until(() => ready() > already, dewy.stderr);
          dewy.child.kill(signal);
          await dewy.ended();
          const { code, text } = await command.answer;
          expect(code, text).toBe(4);
          const kept = signal === "SIGKILL" || own.length > 0;
          const left = await app.running();
          if (kept) expect(left.length).toBeGreaterThanOrEqual(REPLICAS);
          else expect(left).toEqual([]);
          expect((await stateOf(app)).order).toMatchObject({ kind: words.split(" ")[0] });
          const stopped = JSON.parse(
            await operator.succeed("status", "--json", "--directory", app.directory),
          ).instances;
          expect(stopped).toMatchObject([{ order: { kind: words.split(" ")[0] } }]);
          expect(stopped[0].process).toBeUndefined();

          const next = app.restart();
          await next.seen(
            "its proxy",
            ({ msg, protocols }) => /isten/.test(msg) && protocols === "TCP",
          );
          const load = kept ? await startLoad(app) : undefined;
          await next.seen("a poll", ({ msg }) => msg === "Poll finished");
          const about = (): string => `${dewy.stderr()}\n---\n${next.stderr()}`;
          await runningOnly(app, [to, to, to], about);
          if (load !== undefined) expectNothingLost(await load.stop(), about());
          expect(await get(app), about()).toMatch(to);
          await expect.poll(async () => (await stateOf(app)).order).toBeUndefined();
          await expect
            .poll(() => operator.status())
            .toMatchObject({ live: { tag: to }, app: { health: "serving", wanted: REPLICAS } });
          const status = await operator.status();
          // A replaced one may still be on its way out.
          const serving = status.app?.replicas?.filter(({ state }) => state === "serving");
          expect(serving?.map(({ tag }) => tag)).toEqual([to, to, to]);
          expect(status.skipped.map(({ tag }) => tag)).toEqual(to === OLD ? [NEW] : []);
          const old = async (): Promise<unknown> =>
            (await app.containers()).filter(({ id }) => before.has(id));
          await expect.poll(old).toEqual([]);
          if (kept) {
            await next.seen("the adoption", ({ msg }) =>
              /^Containers from a previous run found$/.test(msg),
            );
          }
        },
      );

      it.runIf(engine === "docker")(
        "a rollback while only the containers run is carried out at the next start",
        { timeout: 120_000 },
        async () => {
          const app = await steerContainers(peers, [OLD, NEW], {
            flags: ["--replicas", "2", "-i", "1h"],
          });
          const { operator, dewy } = app;
          dewy.child.kill("SIGKILL");
          await dewy.ended();
          expect(await operator.succeed("rollback")).toMatch(/v1\.0\.0; dewy does not run here/);
          expect(await app.running()).toEqual([NEW, NEW]);
          const next = app.restart();
          await runningOnly(app, [OLD, OLD], next.stderr);
          expect(await get(app)).toMatch(/^v1\.0\.0 /);
          await operator.succeed("poll");
          await expect
            .poll(() => operator.status())
            .toMatchObject({
              live: { tag: OLD },
              waiting: [{ tag: NEW, why: "skipped" }],
            });
        },
      );
    });
  },
);
