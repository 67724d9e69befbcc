import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { DeployState } from "../../../src/deploy/state.ts";
import { missingEngine } from "../../peers/container_engine.ts";
import { missingDockerRegistry } from "../../peers/docker_registry.ts";
import { type Dewy, type LogLine, until } from "../dewy.ts";
import { deployed, expectNothingLost } from "../server/served_app.ts";
import { endPolitely, get, NODE, startLoad } from "./outcomes.ts";
import {
  type ContainerPeers,
  type ServedContainers,
  serveContainers,
  startContainerPeers,
} from "./served_containers.ts";

/** An option after `--` whose value does not exist yet. */
interface Fault {
  option: string;
  /** The engine that has the option; both if omitted. */
  engine?: "docker";
  args(app: Surroundings): readonly string[];
  says: RegExp;
  repair(app: Surroundings): Promise<unknown>;
}

interface Surroundings {
  peers: ContainerPeers;
  path: string;
  image: string;
}

const REPAIRABLE: readonly Fault[] = [
  {
    option: "--env-file",
    args: ({ path }) => ["--env-file", path],
    says: /no such file or directory/,
    repair: ({ path }) => writeFile(path, "A=B\n"),
  },
  {
    option: "--network",
    args: () => ["--network", "appnet"],
    says: /appnet/,
    repair: ({ peers }) => peers.engine.run("network", "create", "appnet"),
  },
  {
    option: "--mount",
    args: ({ path }) => ["--mount", `type=bind,source=${path},target=/data`],
    says: /no such file or directory|does not exist/,
    repair: ({ path }) => mkdir(path),
  },
  {
    option: "--link",
    engine: "docker",
    args: () => ["--link", "db"],
    says: /No such container: db/,
    repair: ({ peers, image }) => peers.engine.run("run", "--detach", "--name", "db", image),
  },
];

async function badVersions(app: ServedContainers): Promise<readonly string[]> {
  const text = await readFile(join(app.directory, ".dewy", "state.json"), "utf8");
  return (JSON.parse(text) as DeployState).bad.map(({ tag }) => tag);
}

/** Waits until two attempts have failed, both of this version. */
async function failsTwice(dewy: Dewy, tag: string, says: RegExp): Promise<void> {
  const failures = (): LogLine[] => dewy.lines().filter(({ msg }) => msg === "Deploy failed");
  await until(
    () => failures().length >= 2,
    () => `two failures of ${tag}\n${dewy.stderr()}`,
  );
  for (const failure of failures()) {
    expect(failure).toMatchObject({
      level: "ERROR",
      tag,
      error: expect.stringMatching(says),
      retry_in: expect.any(Number),
    });
  }
}

/** Expects that only this version was tried, and that no version is marked bad. */
async function expectOnly(app: ServedContainers, dewy: Dewy, tag: string): Promise<void> {
  expect(await badVersions(app)).toEqual([]);
  const tried = dewy.lines().flatMap((line) => ("tag" in line ? [line.tag] : []));
  expect(new Set(tried)).toEqual(new Set([tag]));
}

describe.each(["docker", "podman"] as const)("dewy container with %s", (engine) => {
  const missing = missingEngine(engine) ?? missingDockerRegistry();
  describe.skipIf(missing !== undefined)(missing ?? "on a machine with a missing resource", () => {
    let peers: ContainerPeers;
    beforeAll(async () => {
      peers = await startContainerPeers(engine);
    });
    afterAll(() => peers?.stop());

    it.each(REPAIRABLE.filter((fault) => (fault.engine ?? engine) === engine))(
      "retries the newest version until the value of $option exists",
      { timeout: 120_000 },
      async ({ args, says, repair }) => {
        const own: string[] = [];
        const app = await serveContainers(peers, NODE, { args: own });
        const image = `${peers.registry.host}/${app.app}:v1.0.0`;
        const place = { peers, path: join(app.root, "missing"), image };
        own.push(...args(place));
        await app.publish("v1.0.0");
        await app.publish("v1.0.1");
        const dewy = app.start();
        await failsTwice(dewy, "v1.0.1", says);
        // The next attempt has its container for a moment.
        await expect.poll(() => app.containers()).toEqual([]);
        await repair(place);
        await deployed(dewy, "v1.0.1");
        await expectOnly(app, dewy, "v1.0.1");
        await endPolitely(app, dewy);
      },
    );
  });
});

const missing = missingEngine("docker") ?? missingDockerRegistry();

describe.skipIf(missing !== undefined)(
  missing ?? "dewy container when the machine or the operator is at fault",
  () => {
    let peers: ContainerPeers;
    beforeAll(async () => {
      peers = await startContainerPeers("docker");
    });
    afterAll(() => peers?.stop());

    it.each(["without a restart", "after a restart"])(
      "keeps the old version serving, and deploys the new one %s",
      { timeout: 120_000 },
      async (when) => {
        const own: string[] = [];
        const app = await serveContainers(peers, NODE, { args: own });
        const file = join(app.root, "app.env");
        own.push("--env-file", file);
        await writeFile(file, "");
        await app.publish("v1.0.0");
        let dewy = app.start();
        await deployed(dewy, "v1.0.0");
        const before = await app.containers();
        const load = await startLoad(app);
        await rm(file);
        await app.publish("v1.1.0");
        await failsTwice(dewy, "v1.1.0", /no such file/);
        expect(await app.containers()).toEqual(before);
        expectNothingLost(await load.stop(), dewy.stderr());
        if (when === "after a restart") {
          dewy.child.kill("SIGKILL");
          await dewy.ended();
        }
        await writeFile(file, "");
        if (when === "after a restart") dewy = app.start();
        await deployed(dewy, "v1.1.0");
        expect(await badVersions(app)).toEqual([]);
        expect(await get(app)).toMatch(/^v1\.1\.0 /);
        await endPolitely(app, dewy);
      },
    );

    it.each([
      { option: "--gpus all", flags: [], args: ["--gpus", "all"], says: /device driver/ },
      { option: "--runtime nosuch", flags: [], args: ["--runtime", "nosuch"], says: /nosuch/ },
      { option: "--cmd", flags: ["--cmd", "/nope"], args: [], says: /program is missing/ },
      {
        option: "--entrypoint",
        flags: [],
        args: ["--entrypoint", "nope"],
        says: /program is missing/,
      },
    ])(
      "runs the newest version after a start without the unusable $option",
      { timeout: 120_000 },
      async ({ flags, args, says }) => {
        const own = [...args];
        const app = await serveContainers(peers, NODE, { args: own });
        await app.publish("v1.0.0");
        await app.publish("v1.0.1");
        let dewy = app.start(flags);
        await failsTwice(dewy, "v1.0.1", says);
        await expectOnly(app, dewy, "v1.0.1");
        await endPolitely(app, dewy);
        own.length = 0;
        dewy = app.start();
        await deployed(dewy, "v1.0.1");
        await expectOnly(app, dewy, "v1.0.1");
        await endPolitely(app, dewy);
      },
    );

    it.each<[string, RegExp, (id: string) => Promise<unknown>]>([
      ["its container is stopped by hand", /not dewy's/, (id) => peers.engine.run("stop", id)],
      [
        "Docker is restarted",
        /away|not dewy's/,
        async () => {
          await peers.engine.crash("SIGTERM");
          await peers.engine.revive();
        },
      ],
      [
        "Docker crashes",
        /away/,
        async () => {
          await peers.engine.crash();
          await peers.engine.revive();
        },
      ],
    ])(
      "retries a version whose bake failed because %s",
      { timeout: 120_000 },
      async (_, says, happens) => {
        const app = await serveContainers(peers, NODE);
        await app.publish("v1.0.0");
        let dewy = app.start();
        await deployed(dewy, "v1.0.0");
        await endPolitely(app, dewy);
        dewy = app.start(["--bake", "10m"]);
        await app.publish("v1.1.0");
        const serving = (): LogLine[] =>
          dewy
            .lines()
            .filter(({ msg, tag }) => msg.startsWith("New containers serving") && tag === "v1.1.0");
        await until(
          () => serving().length === 1,
          () => `the bake\n${dewy.stderr()}`,
        );
        const replica = (await app.containers()).find(({ tag }) => tag === "v1.1.0");
        await happens(replica?.id ?? "");
        const failure = await dewy.seen("the failure", ({ msg }) => msg === "Deploy failed");
        expect(failure).toMatchObject({ level: "ERROR", retry_in: expect.any(Number) });
        expect(failure.error).toMatch(says);
        await until(
          () => serving().length === 2,
          () => `another bake\n${dewy.stderr()}`,
        );
        expect(await badVersions(app)).toEqual([]);
        expect(await get(app)).toMatch(/^v1\.1\.0 /);
        await endPolitely(app, dewy);
      },
    );
  },
);
