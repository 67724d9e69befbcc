import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import type { ContainerSpec, EngineContainer } from "../../../src/container/engine/engine.ts";
import type { OciCredential } from "../../../src/registries/oci/auth/credential.ts";
import { isImageRegistry, type PullAccess } from "../../../src/registries/oci/image_registry.ts";
import { openRegistry } from "../../../src/registries/open.ts";
import { type AppImage, appImage } from "../../peers/container_app.ts";
import {
  type EnginePeer,
  eventStreams,
  missingEngine,
  startEngine,
} from "../../peers/container_engine.ts";
import {
  type DockerRegistry,
  LOGIN,
  missingDockerRegistry,
  REFRESH_TOKEN,
  startDockerRegistry,
} from "../../peers/docker_registry.ts";
import { until } from "../dewy.ts";

const signal = new AbortController().signal;
const APP = { "dewy.managed": "true", "dewy.app": "app" };
const BASIC: OciCredential = { kind: "basic", ...LOGIN };

describe.each(["docker", "podman"] as const)("the engine %s", (name) => {
  const missing = missingEngine(name) ?? missingDockerRegistry();
  describe.skipIf(missing !== undefined)(missing ?? "for real", () => {
    let peer: EnginePeer;
    let registry: DockerRegistry;
    let image = "";
    let made = 0;

    beforeAll(async () => {
      [peer, registry] = await Promise.all([startEngine(name), startDockerRegistry()]);
      image = await pulled({ version: "v1.0.0" });
    });
    afterAll(async () => {
      await peer?.stop();
      await registry?.stop();
    });

    /** Pushes an image, pulls it with the engine, and returns its name by digest. */
    async function pulled(app: AppImage, repository = `app-${app.version}`): Promise<string> {
      await registry.push(repository, app.version, await appImage(app));
      const access = await accessTo(registry, repository);
      await peer.engine.pull({ ...access, signal });
      return access.image;
    }

    function spec(options: Partial<ContainerSpec> = {}): ContainerSpec {
      made += 1;
      return {
        name: `app-${made}`,
        image,
        labels: { ...APP, "dewy.replica": String(made) },
        ports: [3000],
        user: undefined,
        args: [],
        command: [],
        ...options,
      };
    }

    async function started(options: Partial<ContainerSpec> = {}): Promise<EngineContainer> {
      const id = await peer.engine.start(spec(options), signal);
      const container = await peer.engine.inspect(id, signal);
      if (container === undefined) throw new Error("not there");
      return container;
    }

    async function get(container: EngineContainer, path: string): Promise<string> {
      const [port] = container.ports;
      const response = await fetch(`http://${port?.host}:${port?.port}${path}`);
      return response.text();
    }

    const answers = (container: EngineContainer): Promise<void> =>
      until(
        () =>
          get(container, "/").then(
            () => true,
            () => false,
          ),
        () => `an answer of ${container.name}`,
      );

    /** Events before the stream opens are lost, so containers exit until one is reported. */
    const untilReported = (
      labels: Readonly<Record<string, string>>,
      isReported: () => boolean,
    ): Promise<void> =>
      until(
        async () => {
          const { id } = await started({ labels, command: ["/app", "check"] });
          await until(
            async () => (await peer.engine.inspect(id, signal))?.status === "exited",
            () => "the end",
          );
          return isReported();
        },
        () => "an event",
      );

    test("reports its version", async () => {
      const title = name === "docker" ? "Docker" : "Podman";
      expect(await peer.engine.describe(signal)).toMatch(new RegExp(`^${title} \\d+\\.\\d+`));
    });

    test("describes an image", async () => {
      const reference = await pulled({
        version: "v2.0.0",
        ports: [8080, 3000],
        user: "app",
        checkEveryS: 5,
      });
      const found = await peer.engine.image(reference, signal);
      expect(found).toMatchObject({
        id: expect.stringMatching(/^sha256:[0-9a-f]{64}$/),
        exposedPorts: [3000, 8080],
        user: "app",
        healthcheck: { intervalMs: 5_000 },
      });
      expect(await peer.engine.image(found?.id ?? "", signal)).toEqual(found);
      expect(await peer.engine.image("localhost/dewy/none:v1", signal)).toBeUndefined();
    });

    test("starts a container that listens on loopback only, and finds it by its labels", async () => {
      const labels = { ...APP, "dewy.app": "other", "dewy.version": "v1.0.0" };
      const container = await started({ labels, args: ["--env", "VERSION=v9", "-l", "mine=yes"] });
      expect(container).toMatchObject({
        status: "running",
        health: undefined,
        exitCode: undefined,
        wasOutOfMemory: false,
        wasSignalled: false,
        labels: { ...labels, mine: "yes" },
        ports: [{ container: 3000, host: "127.0.0.1", port: expect.any(Number) }],
      });
      expect(Date.parse(container.startedAt)).toBeGreaterThan(Date.now() - 60_000);
      await answers(container);
      expect(await get(container, "/")).toMatch(/^v9 /);
      const listed = await peer.engine.list({ "dewy.app": "other" }, signal);
      expect(listed).toEqual([container]);
      expect(await peer.engine.list({ "dewy.app": "nobody" }, signal)).toEqual([]);
    });

    test("publishes each of several ports on its own host port", async () => {
      const env = ["-e", "PORT=3000", "-e", "PORT2=3001"];
      const { ports } = await started({ ports: [3000, 3001], args: env });
      expect(ports.map((port) => port.container).sort()).toEqual([3000, 3001]);
      expect(new Set(ports.map((port) => port.port)).size).toBe(2);
    });

    test("runs another command as another user, and counts its restarts", async () => {
      const args = ["--restart", "on-failure:1"];
      const { id } = await started({ command: ["/app", "check"], user: "1234:1234", args });
      await until(
        async () => {
          const { status, restarts } = (await peer.engine.inspect(id, signal)) ?? {};
          return status === "exited" && restarts === 1;
        },
        () => "the second end",
      );
      expect(await peer.engine.inspect(id, signal)).toMatchObject({ exitCode: 1, ports: [] });
    });

    test("stops a container gracefully, kills one that ignores the signal, and removes both", async () => {
      const polite = await started();
      const rude = await started({ args: ["-e", "IGNORE_TERM=1"] });
      await Promise.all([answers(polite), answers(rude)]);
      await peer.engine.stop(polite.id, 20_000, signal);
      await peer.engine.stop(rude.id, 1_000, signal);
      expect(await peer.engine.inspect(polite.id, signal)).toMatchObject({ exitCode: 0 });
      expect(await peer.engine.inspect(rude.id, signal)).toMatchObject({ exitCode: 137 });
      expect(await peer.engine.lastLines(polite.id, 1, signal)).toEqual([
        expect.stringMatching(/^v1\.0\.0 ends after \d+ answers$/),
      ]);
      for (const { id } of [polite, rude]) {
        await peer.engine.remove(id, signal);
        expect(await peer.engine.inspect(id, signal)).toBeUndefined();
      }
    });

    test("treats a missing container as stopped and removed", async () => {
      const { id } = await started();
      await peer.run("rm", "--force", id);
      await peer.engine.stop(id, 1_000, signal);
      await peer.engine.remove(id, signal);
      expect(await peer.engine.lastLines(id, 5, signal)).toEqual([]);
    });

    test("reads the last lines of both output streams in order", async () => {
      const { id } = await started({ args: ["-e", "FAIL=3"] });
      await until(
        async () => (await peer.engine.inspect(id, signal))?.exitCode === 3,
        () => "the end",
      );
      const lines = ["v1.0.0 starts", "v1.0.0 cannot start: no database"];
      expect([...(await peer.engine.lastLines(id, 10, signal))].sort()).toEqual(lines.sort());
      expect(await peer.engine.lastLines(id, 1, signal)).toHaveLength(1);
    });

    test("distinguishes a killed container from one that exited by itself", async () => {
      const labels = { ...APP, "dewy.app": "signalled" };
      const stop = new AbortController();
      onTestFinished(() => stop.abort());
      const ended = new Set<string>();
      const watching = peer.engine.watch(labels, (id) => ended.add(id), stop.signal);
      await untilReported(labels, () => ended.size > 0);
      const ways: [string, string[], boolean][] = [
        ["IGNORE_TERM=1", ["stop", "--time", "1"], true],
        ["IGNORE_TERM=1", ["kill"], true],
        ["CRASH_AFTER=1", ["inspect"], false],
      ];
      for (const [setting, command, wasSignalled] of ways) {
        const { id } = await started({ labels, args: ["-e", setting] });
        await peer.run(...command, id);
        await until(
          () => ended.has(id),
          () => `the end after ${command}`,
        );
        const container = await peer.engine.inspect(id, signal);
        expect(container).toMatchObject({ status: "exited", wasSignalled });
      }
      stop.abort();
      await watching;
    });

    test("reports that a container ran out of memory", async () => {
      const container = await started({ args: ["-m", "16m", "--memory-swap", "16m"] });
      await answers(container);
      await get(container, "/eat").catch(() => "");
      await until(
        async () => (await peer.engine.inspect(container.id, signal))?.status === "exited",
        () => "the end",
      );
      const ended = await peer.engine.inspect(container.id, signal);
      expect(ended?.exitCode).toBe(137);
      // With cgroups v1, Podman does not report the reason.
      if (name === "docker") expect(ended?.wasOutOfMemory).toBe(true);
    });

    test("follows a HEALTHCHECK", async () => {
      const checked = await pulled({ version: "v4.0.0", checkEveryS: 1 });
      const container = await started({ image: checked });
      expect(container.health).toBe("starting");
      const becomes = (health: string): Promise<void> =>
        until(
          async () => (await peer.engine.inspect(container.id, signal))?.health === health,
          () => health,
        );
      await becomes("healthy");
      const [port] = container.ports;
      await fetch(`http://127.0.0.1:${port?.port}/health?503`, { method: "POST" });
      await becomes("unhealthy");
    });

    test("removes a container that cannot be started", async () => {
      const labels = { ...APP, "dewy.app": "failing" };
      const program = await pulled({ version: "v5.0.0", command: ["/nope"] });
      const own = await pulled({ version: "v5.1.0", user: "nobody-here" });
      const failing = [
        { options: { image: program }, says: "program is missing", fault: "release" },
        { options: { command: ["/nope"] }, says: "program is missing", fault: "operator" },
        { options: { image: own }, says: "has no such user", fault: "release" },
        { options: { user: "nobody-here" }, says: "nobody-here", fault: "operator" },
        {
          options: { image: `localhost/dewy/none@${DIGEST}` },
          says: /no such image|not known/i,
          fault: "remote",
        },
        {
          options: { args: ["--no-such-option"] },
          says: "does not support an option after --",
          fault: "operator",
        },
        { options: { args: ["--env-file", "/nowhere/env"] }, says: "/nowhere/env", fault: "host" },
        { options: { args: ["--network", "nowhere"] }, says: "nowhere", fault: "host" },
        {
          options: { args: ["--mount", "type=bind,source=/nowhere,target=/data"] },
          says: "/nowhere",
          fault: "host",
        },
      ];
      for (const { options, says, fault } of failing) {
        const start = peer.engine.start(spec({ labels, ...options }), signal);
        await expect(start).rejects.toMatchObject({
          fault,
          message: expect.stringMatching(says),
        });
      }
      expect(await peer.engine.list(labels, signal)).toEqual([]);
    });

    test("does not touch another container with the same name", async () => {
      const first = await started();
      const again = peer.engine.start(spec({ name: first.name }), signal);
      await expect(again).rejects.toMatchObject({ code: "conflict" });
      expect(await peer.engine.inspect(first.id, signal)).toEqual(first);
    });

    test("starts nothing after its signal is aborted", async () => {
      const labels = { ...APP, "dewy.app": "aborted" };
      const stop = new AbortController();
      const start = peer.engine.start(spec({ labels }), stop.signal);
      setTimeout(() => stop.abort(), 30);
      await expect(start).rejects.toMatchObject({ code: "aborted" });
      await until(
        async () =>
          (await peer.engine.list(labels, signal)).every((one) => one.status === "created"),
        () => "no container that runs",
      );
    });

    test("removes an image with its last name, but not while it is in use", async () => {
      const reference = await pulled({ version: "v3.0.0" }, "named");
      const [one, other] = ["localhost/dewy/named:v3.0.0", "localhost/dewy/named:kept"];
      await peer.engine.tag(reference, one, signal);
      await peer.engine.tag(reference, other, signal);
      expect([...(await peer.engine.imageNames("localhost/dewy/named", signal))].sort()).toEqual(
        [one, other].sort(),
      );
      const container = await started({ image: one });
      expect(await peer.engine.removeImage(one, signal)).toBe(true);
      const removed = await peer.engine.removeImage(other, signal);
      await peer.engine.removeImage(reference, signal);
      const id = container.imageId;
      expect(await peer.engine.image(id, signal)).toBeDefined();
      await peer.run("rm", "--force", container.id);
      if (!removed) expect(await peer.engine.removeImage(other, signal)).toBe(true);
      await peer.engine.removeImage(reference, signal);
      expect(await peer.engine.image(id, signal)).toBeUndefined();
      expect(await peer.engine.removeImage(other, signal)).toBe(true);
    });

    test("reports exits until its signal is aborted, and leaves no process behind", async () => {
      const labels = { ...APP, "dewy.app": "watched" };
      const stop = new AbortController();
      const seen: string[] = [];
      const watching = peer.engine.watch(labels, (id) => seen.push(id), stop.signal);
      const other = await started();
      await untilReported(labels, () => seen.length > 0);
      expect(seen).not.toContain(other.id);
      stop.abort();
      await watching;
      expect(await eventStreams(name, "")).toEqual([]);
    });

    describe("pulls", () => {
      test.each(["htpasswd", "token"] as const)(
        "with the login that dewy polls with (%s), and with no other",
        async (auth) => {
          const closed = await startDockerRegistry({ auth });
          try {
            await closed.push("private", "v1.0.0", await appImage({ version: "v1.0.0" }));
            const env = { DOCKER_USERNAME: LOGIN.username, DOCKER_PASSWORD: LOGIN.password };
            const access = await accessTo(closed, "private", env);
            expect(access.credential).toEqual(BASIC);
            const anonymous = peer.engine.pull({ ...access, credential: undefined, signal });
            await expect(anonymous).rejects.toMatchObject({ code: "credential" });
            const wrong: OciCredential = { ...LOGIN, kind: "basic", password: "wrong-password" };
            const refused = peer.engine.pull({ ...access, credential: wrong, signal });
            await expect(refused).rejects.toMatchObject({ code: "credential" });
            await expect(refused).rejects.not.toThrow("wrong-password");
            await peer.engine.pull({ ...access, signal });
            expect(await peer.engine.image(access.image, signal)).toBeDefined();
            expect(await readdir(join(peer.directory, "logins"))).toEqual([]);
          } finally {
            await closed.stop();
          }
        },
      );

      test("use a refresh token", async () => {
        const closed = await startDockerRegistry({ auth: "token" });
        try {
          await closed.push("private", "v1.0.0", await appImage({ version: "v1.0.0" }));
          const login = { auth: btoa("u:"), identitytoken: REFRESH_TOKEN };
          const access = await accessTo(closed, "private", dockerLogin(closed, login));
          expect(access.credential).toEqual({ kind: "refresh", token: REFRESH_TOKEN });
          await peer.engine.pull({ ...access, signal });
          expect(await peer.engine.image(access.image, signal)).toBeDefined();
        } finally {
          await closed.stop();
        }
      });

      test(
        name === "docker"
          ? "use a registry token"
          : "fail with a registry token, which Podman does not support",
        async () => {
          const closed = await startDockerRegistry({ auth: "token" });
          try {
            await closed.push("private", "v1.0.0", await appImage({ version: "v1.0.0" }));
            const registrytoken = await closed.pullToken("private");
            const access = await accessTo(
              closed,
              "private",
              dockerLogin(closed, { registrytoken }),
            );
            expect(access.credential).toEqual({ kind: "bearer", token: registrytoken });
            const pull = peer.engine.pull({ ...access, signal });
            if (name === "docker") await pull;
            else await expect(pull).rejects.toMatchObject({ code: "credential" });
          } finally {
            await closed.stop();
          }
        },
      );

      test("are anonymous even if the user has a login", async () => {
        const closed = await startDockerRegistry({ auth: "htpasswd" });
        try {
          await closed.push("private", "v2.0.0", await appImage({ version: "v2.0.0" }));
          const env = { DOCKER_USERNAME: LOGIN.username, DOCKER_PASSWORD: LOGIN.password };
          const access = await accessTo(closed, "private", env);
          const auth = btoa(`${LOGIN.username}:${LOGIN.password}`);
          const config = JSON.stringify({ auths: { [closed.host]: { auth } } });
          await mkdir(join(peer.directory, ".docker"), { recursive: true });
          await writeFile(join(peer.directory, ".docker", "config.json"), config);
          await mkdir(join(peer.directory, ".config", "containers"), { recursive: true });
          await writeFile(join(peer.directory, ".config", "containers", "auth.json"), config);
          const anonymous = peer.engine.pull({ ...access, credential: undefined, signal });
          await expect(anonymous).rejects.toMatchObject({ code: "credential" });
        } finally {
          await closed.stop();
        }
      });

      test("fail for a missing image and for an unreachable registry", async () => {
        const access = await accessTo(registry, "app-v1.0.0");
        const gone = `${registry.host}/app@${DIGEST}`;
        await expect(peer.engine.pull({ ...access, image: gone, signal })).rejects.toMatchObject({
          code: "not-found",
        });
        const nobody = `127.0.0.1:9/app@${DIGEST}`;
        await expect(peer.engine.pull({ ...access, image: nobody, signal })).rejects.toMatchObject({
          code: "remote",
          retryable: true,
        });
      });

      test("leave no login behind if they are killed", async () => {
        const left = join(peer.directory, "logins", "login-aBc123");
        await mkdir(left, { recursive: true });
        await writeFile(join(left, "config.json"), "{}");
        await peer.engine.forgetLogins();
        expect(await readdir(join(peer.directory, "logins"))).toEqual([]);
      });
    });
  });
});

const DIGEST = `sha256:${"0".repeat(64)}`;

/** Resolves the newest image as dewy does. */
async function accessTo(
  registry: DockerRegistry,
  repository: string,
  env: Readonly<Record<string, string>> = {},
): Promise<PullAccess> {
  const opened = openRegistry(`img://${registry.host}/${repository}`, { env });
  const found = await opened.resolve();
  if (found.kind !== "ready" || !isImageRegistry(opened)) throw new Error(JSON.stringify(found));
  return opened.pullAccess(found.artifact.digest ?? "");
}

/** The configuration that `docker login` writes. */
function dockerLogin(
  registry: DockerRegistry,
  login: Readonly<Record<string, string>>,
): Record<string, string> {
  return { DOCKER_AUTH_CONFIG: JSON.stringify({ auths: { [registry.host]: login } }) };
}
