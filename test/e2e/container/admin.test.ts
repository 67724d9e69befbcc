import { mkdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { AdminContainer } from "../../../src/control/admin.ts";
import { missingEngine } from "../../peers/container_engine.ts";
import { missingDockerRegistry } from "../../peers/docker_registry.ts";
import { freePorts } from "../../peers/ports.ts";
import { type CliRuntime, cliRuntimes, type Dewy, runDewy } from "../dewy.ts";
import { deployed } from "../server/served_app.ts";
import {
  type ContainerPeers,
  type ServedContainers,
  serveContainers,
  startContainerPeers,
} from "./served_containers.ts";

const [NODE] = cliRuntimes as [CliRuntime, ...CliRuntime[]];
const missing = missingEngine("docker") ?? missingDockerRegistry();

describe.skipIf(missing !== undefined)(missing ?? "the admin API and container list", () => {
  let peers: ContainerPeers;
  beforeAll(async () => {
    peers = await startContainerPeers("docker");
  });
  afterAll(() => peers?.stop());

  const adminUrl = async (dewy: Dewy): Promise<string> => {
    const line = await dewy.seen("the admin API", ({ protocols }) => protocols === "admin API");
    return String(line.url);
  };
  const list = (
    runtime: CliRuntime,
    port: string | number,
    ...flags: string[]
  ): ReturnType<typeof runDewy> =>
    runDewy(runtime.command, ["container", "list", "--admin-port", String(port), ...flags], {
      cwd: peers.engine.directory,
      env: peers.engine.env,
    });
  const listed = (text: string, app: string): AdminContainer[] =>
    (JSON.parse(text) as { containers: AdminContainer[] }).containers.filter(
      ({ labels }) => labels["dewy.app"] === app,
    );
  const endOf = (dewy: Dewy): Promise<number | string> => {
    dewy.child.kill("SIGTERM");
    return dewy.ended();
  };

  it.each(cliRuntimes)("report the containers and the status on $name", async (runtime) => {
    const app = await serveContainers(peers, runtime);
    await app.publish("v1.0.0");
    const dewy = app.start(["--replicas", "2"]);
    await deployed(dewy, "v1.0.0");
    const url = await adminUrl(dewy);

    const answer = (await (await fetch(`${url}/api/containers`)).json()) as {
      containers: AdminContainer[];
    };
    expect(answer.containers).toHaveLength(2);
    for (const container of answer.containers) {
      expect(container).toMatchObject({
        status: "running",
        restarts: 0,
        image: expect.stringContaining("@sha256:"),
      });
      expect(container.labels).toMatchObject({
        "dewy.managed": "true",
        "dewy.app": app.app,
        "dewy.version": "v1.0.0",
      });
      const direct = await fetch(`http://${container.ip_port}/`);
      expect(await direct.text()).toMatch(/^v1\.0\.0 /);
    }
    expect(await (await fetch(`${url}/api/status`)).json()).toMatchObject({
      command: 2,
      current_version: "v1.0.0",
      is_running: true,
      name: app.app,
      proxy_backends: 2,
    });

    const table = await list(runtime, new URL(url).port);
    expect(table).toMatchObject({ code: 0, stderr: "" });
    const [head, ...rows] = table.stdout.trimEnd().split("\n");
    expect(head).toMatch(/^UPSTREAM +DEPLOY TIME +NAME +STATE$/);
    for (const row of rows) {
      expect(row).toMatch(
        /^127\.0\.0\.1:\d+ {4}\d{4}-\d\d-\d\d \d\d:\d\d:\d\d {4}app\d+-\d{10}-[01] {4}serving$/,
      );
    }
    expect(rows).toHaveLength(2);
    expect(await endOf(dewy)).toBe(0);
    await expect(fetch(`${url}/api/status`)).rejects.toThrow();
  });

  it("list the engine's containers if no dewy runs", async () => {
    const app = await serveContainers(peers, NODE);
    await app.publish("v1.0.0");
    const dewy = app.start(["--keep-containers"]);
    await deployed(dewy, "v1.0.0");
    expect(await endOf(dewy)).toBe(0);
    const [port = 0] = await freePorts(1);
    const { code, stdout } = await list(NODE, port, "--json");
    expect(code).toBe(0);
    const names = (await app.containers()).map(({ name }) => name);
    expect(listed(stdout, app.app).map(({ name }) => name)).toEqual(names);
  });

  it("are optional: dewy runs on if all admin ports are taken", async () => {
    const app = await serveContainers(peers, NODE);
    await app.publish("v1.0.0");
    const dewy = app.start(["--admin-port", "65535"]);
    const other = await serveContainers(peers, NODE);
    await other.publish("v1.0.0");
    await adminUrl(dewy);
    const second = other.start(["--admin-port", "65535"]);
    await deployed(second, "v1.0.0");
    expect(second.lines()).toContainEqual(
      expect.objectContaining({ level: "ERROR", msg: "Admin API not available" }),
    );
    expect(await Promise.all([endOf(dewy), endOf(second)])).toEqual([0, 0]);
  });

  describe("a second dewy", () => {
    const again = async (app: ServedContainers, directory: string): ReturnType<typeof runDewy> => {
      const { argv, env } = app.command(["--directory", directory]);
      const [port = 0] = await freePorts(1);
      const line = argv.map((word) => (word === `${app.port}:3000` ? `${port}:3000` : word));
      return runDewy(line as [string, ...string[]], [], { cwd: app.root, env });
    };
    it("cannot take over the containers of a running one from any directory", async () => {
      const app = await serveContainers(peers, NODE);
      await app.publish("v1.0.0");
      const dewy = app.start();
      await deployed(dewy, "v1.0.0");
      const before = await app.containers();

      const same = await again(app, app.directory);
      expect(same.code).toBe(1);
      expect(same.stderr).toContain("has held it since");
      const elsewhere = join(app.root, "elsewhere");
      await mkdir(elsewhere);
      const other = await again(app, elsewhere);
      expect(other.code).toBe(1);
      expect(other.stderr).toContain(
        `Cannot run the app "${app.app}": dewy container (pid ${dewy.child.pid} on `,
      );
      expect(await app.containers()).toEqual(before);
      expect(await endOf(dewy)).toBe(0);
    });
  });

  it("are not started if a flag or the engine is invalid, which leaves nothing behind", async () => {
    const app = await serveContainers(peers, NODE);
    await app.publish("v1.0.0");
    const run = (
      env: Readonly<Record<string, string>>,
      ...flags: string[]
    ): ReturnType<typeof runDewy> =>
      runDewy(app.command(flags).argv, [], { cwd: app.root, env: { ...peers.engine.env, ...env } });
    const cases: [Readonly<Record<string, string>>, string[], number | string, string][] = [
      [{}, ["--replicas", "0"], 1, "Invalid value for --replicas"],
      [{ PATH: "/nonexistent" }, [], 3, "it is not installed, or not in PATH"],
      [{ DOCKER_HOST: "unix:///nonexistent.sock" }, [], 3, "Cannot connect to the Docker daemon"],
      [{ DOCKER_HOST: "tcp://192.0.2.1:2375" }, [], 1, "it is another machine"],
    ];
    for (const [env, flags, code, message] of cases) {
      const result = await run(env, ...flags);
      expect(result).toMatchObject({ code, stderr: expect.stringContaining(message) });
    }
    await expect(stat(app.directory)).rejects.toThrow("ENOENT");
  });
});
