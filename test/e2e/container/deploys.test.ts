import { readdir, readFile, readlink } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { DeployState } from "../../../src/deploy/state.ts";
import { appImage } from "../../peers/container_app.ts";
import { eventStreams, missingEngine } from "../../peers/container_engine.ts";
import { LOGIN, missingDockerRegistry, startDockerRegistry } from "../../peers/docker_registry.ts";
import { type CliRuntime, cliRuntimes, type Dewy, until } from "../dewy.ts";
import type { LoadResult } from "../server/load.ts";
import { deployed, expectNothingLost, startTestLoad } from "../server/served_app.ts";
import { lanes } from "../server/start_load.ts";
import {
  type ContainerPeers,
  type ServedContainers,
  serveContainers,
  startContainerPeers,
} from "./served_containers.ts";

const [NODE] = cliRuntimes as [CliRuntime, ...CliRuntime[]];

/** Answers while a new version fails, and the failure. */
interface Survived {
  message: string;
  reason: string;
}

describe.each(["docker", "podman"] as const)("dewy container with %s", (engine) => {
  const missing = missingEngine(engine) ?? missingDockerRegistry();
  describe.skipIf(missing !== undefined)(missing ?? "that is a real one", () => {
    let peers: ContainerPeers;
    beforeAll(async () => {
      peers = await startContainerPeers(engine);
    });
    afterAll(() => peers?.stop());

    const get = async (app: ServedContainers, path = "/"): Promise<string> => {
      const url = `http://127.0.0.1:${app.port}${path}`;
      const response = await fetch(url, { headers: { connection: "close" } });
      return response.text();
    };

    it.each(engine === "docker" ? cliRuntimes : [NODE])(
      "deploys, updates, survives a bad version and SIGKILL, and cleans up, on $name",
      { timeout: 120_000 },
      async (runtime) => {
        const app = await serveContainers(peers, runtime);
        await app.publish("v1.0.0");
        let dewy = app.start();
        await deployed(dewy, "v1.0.0");
        expect(await get(app)).toMatch(/^v1\.0\.0 /);
        const [first] = await app.containers();
        expect(first?.name).toMatch(new RegExp(`^${app.app}-\\d{10}-0$`));
        const load = await startLoad(app);

        await app.publish("v1.1.0", { env: { FAIL: "3" } });
        const { message } = await badVersion(dewy, "v1.1.0");
        expect(message).toMatch("v1.1.0 cannot start: no database");
        expect(message).toMatch("3");
        expect(await app.running()).toEqual(["v1.0.0"]);

        await app.publish("v1.2.0");
        await deployed(dewy, "v1.2.0");
        await until(
          async () => (await app.containers()).map(({ tag }) => tag).join() === "v1.2.0",
          () => `v1.2.0 alone\n${dewy.stderr()}`,
        );
        expectNothingLost(await load.stop(), dewy.stderr());
        expect(await get(app)).toMatch(/^v1\.2\.0 /);

        const before = await app.containers();
        dewy.child.kill("SIGKILL");
        await dewy.ended();
        dewy = app.start();
        await dewy.seen("adoption", ({ msg }) => msg === "Containers of an earlier dewy found");
        expect(await get(app)).toMatch(/^v1\.2\.0 /);
        await dewy.seen("a poll", ({ msg }) => msg === "Deploy skipped");
        expect(await app.containers()).toEqual(before);
        await endPolitely(app, dewy);
        // That of the dewy that was killed ends with the next event.
        await until(
          async () => (await eventStreams(engine, `dewy.app=${app.app}`)).length === 0,
          () => "the end of all streams of events",
        );
      },
    );

    if (engine === "podman") return;

    it("keeps three replicas behind the proxy, also during an update", {
      timeout: 120_000,
    }, async () => {
      const app = await serveContainers(peers, NODE);
      await app.publish("v1.0.0");
      const dewy = app.start(["--replicas", "3"]);
      await deployed(dewy, "v1.0.0");
      await answersOf(app, "v1.0.0", 3);
      const counts: number[] = [];
      const counting = new AbortController();
      const counted = (async () => {
        while (!counting.signal.aborted) counts.push((await app.running()).length);
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

    it.each([
      ["is not healthy", { env: { HEALTH: "503" } }, /503/, false],
      ["never listens", { env: { NO_LISTEN: "1" } }, /v1\.1\.0 starts/, false],
      ["has no such program", { command: ["/nope"] }, /no such program/, false],
      ["crashes in its bake time", { env: { CRASH_AFTER: "5000" } }, /v1\.1\.0 crashes/, true],
    ] as const)(
      "stays with the old version when the new one %s",
      { timeout: 120_000 },
      async (_, image, says, isLater) => {
        const app = await serveContainers(peers, NODE);
        await app.publish("v1.0.0");
        const bake = isLater ? "20s" : "500ms";
        const flags = ["--health-timeout", "3s", "--replicas", "2", "--bake", bake];
        const dewy = app.start(flags);
        await deployed(dewy, "v1.0.0");
        const load = await startLoad(app);
        await app.publish("v1.1.0", image);
        const { message, reason } = await badVersion(dewy, "v1.1.0", app);
        expect(message).toMatch(says);
        expect(reason).toMatch(says);
        await until(
          async () =>
            (await app.containers()).map(({ state }) => state).join() === "running,running",
          () => dewy.stderr(),
        );
        expect(await app.running()).toEqual(["v1.0.0", "v1.0.0"]);
        const result = await load.stop();
        if (isLater) expectAlmostNothingLost(result);
        else expectNothingLost(result, dewy.stderr());
        expect(await get(app)).toMatch(/^v1\.0\.0 /);
        await endPolitely(app, dewy);
      },
    );

    it("replaces a replica that ends or turns unhealthy later", { timeout: 120_000 }, async () => {
      const app = await serveContainers(peers, NODE);
      await app.publish("v1.0.0");
      const dewy = app.start(["--replicas", "2"]);
      await deployed(dewy, "v1.0.0");
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

    it("stays with the old version when the new image cannot be pulled", {
      timeout: 60_000,
    }, async () => {
      const app = await serveContainers(peers, NODE);
      await app.publish("v1.0.0");
      const dewy = app.start();
      await deployed(dewy, "v1.0.0");
      await peers.registry.pushBroken(app.app, "v1.1.0");
      const failure = await failureOf(dewy, "v1.1.0");
      expect(failure).toMatch(/Cannot pull/);
      expect(await app.running()).toEqual(["v1.0.0"]);
      await app.publish("v1.2.0");
      await deployed(dewy, "v1.2.0");
      await endPolitely(app, dewy);
    });

    it("runs on, and starts again, while the registry is down", { timeout: 120_000 }, async () => {
      const registry = await startDockerRegistry();
      const app = await serveContainers(peers, NODE, { registry });
      await app.publish("v1.0.0");
      let dewy = app.start();
      await deployed(dewy, "v1.0.0");
      await registry.stop();
      await dewy.seen("a failed poll", ({ msg }) => msg === "Deploy failure");
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

    it("goes back to the newest that is left when a tag is deleted", {
      timeout: 60_000,
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

    it("follows its slot alone", async () => {
      const app = await serveContainers(peers, NODE);
      for (const tag of ["v1.0.0_blue", "v1.1.0_green", "v1.2.0"]) await app.publish(tag);
      const dewy = app.start(["--slot", "blue"]);
      await deployed(dewy, "v1.0.0_blue");
      await app.publish("v1.3.0_green");
      await app.publish("v1.0.1_blue");
      await deployed(dewy, "v1.0.1_blue");
      await endPolitely(app, dewy);
    });

    it("takes the image for this machine out of an index", async () => {
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
      "pulls from a private registry (%s) with the login it polls with, and tells nobody",
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

    it("looks after its own app alone", { timeout: 120_000 }, async () => {
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

    it("keeps the seven newest images of its app, and those of others", {
      timeout: 120_000,
    }, async () => {
      const app = await serveContainers(peers, NODE);
      await app.publish("v1.0.0");
      const dewy = app.start(["--bake", "0s"]);
      await deployed(dewy, "v1.0.0");
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

    it("starts what runs anew when the operator's options have changed", {
      timeout: 60_000,
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

    it("starts anew what went with the service of the engine", { timeout: 120_000 }, async () => {
      const app = await serveContainers(peers, NODE);
      await app.publish("v1.0.0");
      const dewy = app.start(["--replicas", "2"]);
      await deployed(dewy, "v1.0.0");
      const before = (await app.containers()).map(({ id }) => id);
      await peers.engine.crash();
      await dewy.seen("the outage", ({ msg }) =>
        msg.startsWith("Cannot reach the container engine"),
      );
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

    it("points current at the release that runs", async () => {
      const app = await serveContainers(peers, NODE);
      await app.publish("v1.0.0");
      const dewy = app.start();
      await deployed(dewy, "v1.0.0");
      const release = await readlink(join(app.directory, "current"));
      const record = await readFile(join(app.directory, release, "image.json"), "utf8");
      expect(JSON.parse(record)).toMatchObject({
        tag: "v1.0.0",
        reference: expect.stringMatching(/@sha256:[0-9a-f]{64}$/),
      });
      await endPolitely(app, dewy);
    });

    /** Waits until clients have met as many replicas of a version. */
    async function answersOf(
      app: ServedContainers,
      version: string,
      replicas: number,
    ): Promise<void> {
      const seen = new Set<string>();
      await until(
        async () => {
          const text = await get(app);
          if (text.startsWith(`${version} `)) seen.add(text);
          return seen.size === replicas;
        },
        () => `${replicas} replicas of ${version}, only ${[...seen].join(", ")}`,
      );
    }
  });
});

function startLoad(app: ServedContainers): ReturnType<typeof startTestLoad> {
  const target = { host: "127.0.0.1", port: app.port };
  return startTestLoad([lanes.keepAlive(target), lanes.perRequest(target)]);
}

/** What a container was about to answer when it crashed, nobody can answer. */
function expectAlmostNothingLost({ total, samples }: LoadResult): void {
  expect(total.failed, JSON.stringify(samples)).toBeLessThan(total.answered / 20);
}

/** Resolves with what is logged of a deploy that failed. */
async function failureOf(dewy: Dewy, tag: string): Promise<string> {
  const line = await dewy.seen(
    `the failure of ${tag}`,
    ({ msg, error }) => msg === "Deploy failure" && String(error).includes(` ${tag}: `),
  );
  return String(line.error);
}

/** Waits until a version is remembered as bad. */
async function badVersion(dewy: Dewy, tag: string, app?: ServedContainers): Promise<Survived> {
  const message = await failureOf(dewy, tag);
  let reason = "";
  if (app === undefined) return { message, reason };
  await until(
    async () => {
      const file = join(app.directory, ".dewy", "state.json");
      const state = JSON.parse(await readFile(file, "utf8")) as DeployState;
      reason = state.bad.find((one) => one.tag === tag)?.reason ?? "";
      return reason !== "";
    },
    () => `${tag} in the memory\n${dewy.stderr()}`,
  );
  return { message, reason };
}

/** Waits until another container runs instead of one. */
async function replaced(app: ServedContainers, dewy: Dewy, id: string): Promise<void> {
  const before = (await app.containers()).length;
  await until(
    async () => {
      const containers = await app.containers();
      const alive = containers.filter(({ state }) => state === "running");
      return containers.every((one) => one.id !== id) && alive.length >= Math.min(before, 2);
    },
    () => `another than ${id}\n${dewy.stderr()}`,
  );
}

/** SIGTERM takes the containers with it. */
async function endPolitely(app: ServedContainers, dewy: Dewy): Promise<void> {
  dewy.child.kill("SIGTERM");
  expect(await dewy.ended(), dewy.stderr()).toBe(0);
  expect(await app.containers()).toEqual([]);
}
