import { link, mkdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import manifest from "../../package.json" with { type: "json" };
import { ARTIFACT } from "../e2e/archive.ts";
import { endPolitely, get } from "../e2e/container/outcomes.ts";
import { serveContainers, startContainerPeers } from "../e2e/container/served_containers.ts";
import { runDewy, startDewy, until } from "../e2e/dewy.ts";
import { makeApp } from "../e2e/server/releases.ts";
import { deployed } from "../e2e/server/served_app.ts";
import { missingEngine } from "../peers/container_engine.ts";
import { missingDockerRegistry } from "../peers/docker_registry.ts";
import { freePort } from "../peers/ports.ts";
import { type BareRoot, bareRoot, missingBareRoot, which } from "./bare_root.ts";
import { BINARY, HERE } from "./build.ts";

const missing = missingBareRoot();
const REGISTRY = "/registry";

describe.skipIf(missing !== undefined)(
  `the single binary without any runtime${missing === undefined ? "" : ` (${missing})`}`,
  () => {
    const run = (root: BareRoot, ...args: string[]) =>
      runDewy(root.dewy(), args, { cwd: root.directory });

    test("says which build it is", async () => {
      const { code, stdout } = await run(await bareRoot(BINARY), "--version");
      expect({ code, stdout }).toEqual({
        code: 0,
        stdout: expect.stringMatching(
          new RegExp(`^dewy version: ${manifest.version} .*${HERE}\\]`),
        ),
      });
    });

    test("checks a registry", async () => {
      const root = await bareRoot(BINARY);
      await publish(root, "v1.0.0");
      const { code, stdout, stderr } = await run(root, "check", `file://${REGISTRY}`);
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      expect(stdout).toMatch(/^version +v1\.0\.0$/m);
    });

    test("leaves .env and bunfig.toml to the app", async () => {
      const root = await bareRoot(BINARY);
      const write = (name: string, text: string) => writeFile(join(root.directory, name), text);
      await write(".env", "FROM_DOTENV=1\n");
      await write("bunfig.toml", 'preload = ["/preload.js"]\n');
      await write("preload.js", "process.exit(9);\n");
      await publish(root, "v1.0.0");
      await mkdir(join(root.directory, "srv"));
      const hook = ["--before-deploy-hook", 'test -z "$FROM_DOTENV"'];
      const args = ["--registry", `file://${REGISTRY}`, "--directory", "/srv", "--once", ...hook];
      const { code, stderr } = await run(root, "assets", ...args);
      expect(code, stderr).toBe(0);
    });

    test("serves an app, updates it and rolls it back, without losing a request", async () => {
      const root = await bareRoot(BINARY);
      const port = await freePort();
      await mkdir(join(root.directory, "opt/app"), { recursive: true });
      await publish(root, "v1.0.0");
      const dewy = startDewy(
        root.dewy(),
        [
          ...["server", "--registry", `file://${REGISTRY}`, "--port", `127.0.0.1:${port}`],
          ...["-i", "1s", "--bake", "5s", "--log-level", "info", "--log-format", "json"],
          ...["--", "/opt/app/current/bin/app"],
        ],
        { cwd: root.directory },
      );
      onTestFinished(() => void dewy.child.kill("SIGTERM"));
      const ready = (tag: string) =>
        dewy.seen(`${tag} ready`, (line) => line.msg === "App ready" && line.tag === tag);
      await ready("v1.0.0");
      const load = startClients(port);
      await publish(root, "v1.1.0");
      await dewy.seen("v1.1.0", (line) => line.msg === "Deployed" && line.tag === "v1.1.0");
      await publish(root, "v1.2.0");
      const { pid } = await ready("v1.2.0");
      await until(
        () => load.answers.has("v1.2.0"),
        () => dewy.stderr(),
      );
      process.kill(Number(pid), "SIGTERM"); // It finishes its requests, and exits too early.
      await dewy.seen("a rollback", (line) => line.msg === "Rolled back");
      await load.stop();
      expect(await ask(port)).toBe("v1.1.0");
      expect([...load.answers]).toEqual(["v1.0.0", "v1.1.0", "v1.2.0"]);
      dewy.child.kill("SIGTERM");
      expect(await dewy.ended()).toBe(0);
    });

    const noEngine = missingEngine("docker") ?? missingDockerRegistry();
    test.skipIf(noEngine !== undefined)(
      `runs containers by the engine's client ${noEngine ?? ""}`,
      async () => {
        const peers = await startContainerPeers("docker");
        onTestFinished(peers.stop);
        const root = await bareRoot(BINARY);
        await root.add(await which("docker"), "/bin/docker");
        await link(
          join(peers.engine.directory, "docker.sock"),
          join(root.directory, "docker.sock"),
        );
        const env = { HOME: "/", DOCKER_HOST: "unix:///docker.sock" };
        const app = await serveContainers(peers, { name: "bare", command: root.dewy(env) });
        await app.publish("v1.0.0");
        const dewy = app.start();
        await deployed(dewy, "v1.0.0");
        await app.publish("v1.1.0");
        await deployed(dewy, "v1.1.0");
        expect(await get(app)).toMatch(/^v1\.1\.0 /);
        await endPolitely(app, dewy);
      },
    );
  },
);

async function publish(root: BareRoot, tag: string): Promise<void> {
  const directory = join(root.directory, REGISTRY, tag);
  await mkdir(directory, { recursive: true });
  await writeFile(join(directory, ".new"), await makeApp("c-server-starter", tag));
  await rename(join(directory, ".new"), join(directory, ARTIFACT));
}

/** Sends one request after another, until it is stopped. Each is answered. */
function startClients(port: number): { answers: Set<string>; stop(): Promise<void> } {
  const answers = new Set<string>();
  let isOver = false;
  const client = async (): Promise<void> => {
    while (!isOver) answers.add(await ask(port));
  };
  const clients = Array.from({ length: 4 }, client);
  return {
    answers,
    stop: async () => {
      isOver = true;
      await Promise.all(clients);
    },
  };
}

async function ask(port: number): Promise<string> {
  const headers = { connection: "close" };
  const response = await fetch(`http://127.0.0.1:${port}/`, { headers }).catch(String);
  return typeof response === "string" ? response : await response.text();
}
