import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import type { DewyEvent } from "../../../src/core/event.ts";
import type { Registry } from "../../../src/core/types.ts";
import { createHostIo } from "../../../src/host/io.ts";
import { img } from "../../../src/registries/oci/driver.ts";
import {
  explainRegistry,
  openRegistry,
  type RegistryOptions,
} from "../../../src/registries/open.ts";
import { serveFetch } from "../../fakes/serve.ts";
import {
  type DockerRegistry,
  type DockerRegistryOptions,
  LOGIN,
  missingDockerRegistry,
  startDockerRegistry,
} from "../../peers/docker_registry.ts";

const missing = missingDockerRegistry();
const PLATFORMS = ["linux/amd64", "linux/arm64/v8", "linux/arm/v6", "linux/arm/v7"];
const DOCKER_ENV = { DOCKER_USERNAME: LOGIN.username, DOCKER_PASSWORD: LOGIN.password };

async function start(options: DockerRegistryOptions = {}): Promise<DockerRegistry> {
  const server = await startDockerRegistry(options);
  onTestFinished(() => server.stop());
  return server;
}

async function open(
  { host, caFile }: DockerRegistry,
  env: Record<string, string> = {},
  options: RegistryOptions = {},
  query = "",
): Promise<{ registry: Registry; events: DewyEvent[] }> {
  const events: DewyEvent[] = [];
  const emit = (event: DewyEvent): void => void events.push(event);
  const io = await createHostIo({ env, emit, ...(caFile === "" ? {} : { caFile }) });
  const given = {
    ...io,
    registries: { img },
    platform: { os: "linux", arch: "amd64" },
    ...options,
  };
  return { registry: openRegistry(`img://${host}/o/app${query}`, given), events };
}

async function chosen(registry: Registry): Promise<string> {
  const answer = await registry.resolve();
  return answer.kind === "ready" ? answer.release.tag : JSON.stringify(answer);
}

describe.skipIf(missing !== undefined)(
  `a real registry of images${missing === undefined ? "" : ` (${missing})`}`,
  () => {
    test("an index of buildah is resolved for each platform, and its digest pinned", async () => {
      const server = await start();
      await server.buildah("o/app", "v1.10.0", PLATFORMS);
      await server.push("o/app", "v1.9.0");
      await server.push("o/app", "latest");
      const digests = new Set<string | undefined>();
      for (const platform of [
        { os: "linux", arch: "x64" },
        { os: "linux", arch: "arm64" },
        { os: "linux", arch: "arm", variant: "v6" },
        { os: "linux", arch: "arm", variant: "v7" },
      ]) {
        const { registry } = await open(server, {}, { platform });
        const answer = await registry.resolve();
        if (answer.kind !== "ready") throw new Error(JSON.stringify(answer));
        expect(answer.artifact).toMatchObject({
          name: "o/app:v1.10.0",
          url: `img://${server.host}/o/app:v1.10.0`,
          revision: answer.release.id,
        });
        expect(Date.now() - (answer.release.createdAt?.getTime() ?? 0)).toBeLessThan(600_000);
        digests.add(answer.artifact.digest);
      }
      expect(digests.size).toBe(4);
      expect([...digests].every((digest) => /^sha256:[0-9a-f]{64}$/.test(digest ?? ""))).toBe(true);
    });

    test("an index without this platform is pending, and its platforms are named", async () => {
      const server = await start();
      await server.buildah("o/app", "v1.0.0", ["linux/amd64", "linux/arm64"]);
      const { registry } = await open(server, {}, { platform: { os: "linux", arch: "riscv64" } });
      expect(await registry.resolve()).toMatchObject({ kind: "pending", tag: "v1.0.0" });
      const { artifacts } = await explainRegistry(registry);
      expect(artifacts.map(({ name, chosen: is }) => [name, is])).toEqual([
        ["linux/amd64", false],
        ["linux/arm64", false],
      ]);
      const hour = 3_600_000;
      const clock = {
        now: () => Date.now() + hour,
        monotonic: () => hour,
        sleep: () => new Promise<void>(() => {}),
      };
      const late = await open(server, {}, { platform: { os: "linux", arch: "riscv64" }, clock });
      expect(await late.registry.resolve()).toMatchObject({
        kind: "none",
        reason: "artifact-missing",
        message: expect.stringMatching(/v1\.0\.0.*linux\/riscv64.*linux\/amd64, linux\/arm64/),
      });
    });

    test("after an image is deleted, the newest remaining one is chosen", async () => {
      const server = await start();
      await server.push("o/app", "v1.0.0", { created: "2026-01-01T00:00:00Z" });
      await server.push("o/app", "v1.1.0");
      const { registry } = await open(server);
      expect(await chosen(registry)).toBe("v1.1.0");
      await server.remove("o/app", "v1.1.0");
      expect(await registry.exists?.("v1.1.0")).toBe(false);
      expect(await registry.exists?.("v1.0.0")).toBe(true);
      expect(await chosen(registry)).toBe("v1.0.0");
    });

    test("the unsorted list of tags is requested once per poll", async () => {
      const server = await start();
      for (let patch = 0; patch < 120; patch += 1) await server.push("o/app", `v1.0.${patch}`);
      const { registry, events } = await open(server);
      expect(await chosen(registry)).toBe("v1.0.119");
      const lists = events.filter((one) => one.type === "request" && one.url.includes("tags/list"));
      expect(lists).toHaveLength(1);
    });

    test.each([
      ["answers HEAD with 404", 404],
      ["answers HEAD with 405", 405],
      ["leaves the digest out", 200],
    ])("an image is found behind a proxy that %s", async (_, status) => {
      const server = await start();
      await server.push("o/app", "v1.0.0");
      const direct = await (await open(server)).registry.resolve();
      const proxy = await serveFetch(async ({ method, url, headers }) => {
        const { pathname, search } = new URL(url);
        if (method === "HEAD" && status !== 200) return new Response(null, { status });
        const accept = headers.get("accept") ?? "*/*";
        const answer = await fetch(`http://${server.host}${pathname}${search}`, {
          method,
          headers: { accept },
        });
        const kept = new Headers(answer.headers);
        kept.delete("docker-content-digest");
        return new Response(answer.body, { status: answer.status, headers: kept });
      });
      onTestFinished(() => proxy.close());
      const { registry } = await open({ ...server, host: new URL(proxy.url).host });
      const answer = await registry.resolve();
      if (answer.kind !== "ready" || direct.kind !== "ready") throw new Error("not ready");
      expect(answer.artifact.digest).toBe(direct.artifact.digest);
    });

    test("a missing repository is an error", async () => {
      const { registry } = await open(await start());
      await expect(registry.resolve()).rejects.toMatchObject({
        code: "not-found",
        message: expect.stringContaining("NAME_UNKNOWN"),
      });
    });

    test("passwords come from the environment, then docker login; wrong ones are named", async () => {
      const server = await start({ auth: "htpasswd" });
      await server.push("o/app", "v1.0.0");
      const anonymous = await open(server);
      await expect(anonymous.registry.resolve()).rejects.toMatchObject({ code: "credential" });
      expect(await chosen((await open(server, DOCKER_ENV)).registry)).toBe("v1.0.0");

      const home = await mkdtemp(join(tmpdir(), "dewy-docker-"));
      onTestFinished(() => rm(home, { recursive: true }));
      const auth = btoa(`${LOGIN.username}:${LOGIN.password}`);
      const file = join(home, "config.json");
      await writeFile(file, JSON.stringify({ auths: { [server.host]: { auth } } }));
      const wrong = { DOCKER_USERNAME: "dewy", DOCKER_PASSWORD: "wrong-password" };
      const login = await open(server, { ...wrong, DOCKER_CONFIG: home });
      expect(await chosen(login.registry)).toBe("v1.0.0");
      expect(login.events.filter(({ type }) => type === "credentials")).toMatchObject([
        { source: "DOCKER_USERNAME", outcome: "used" },
        { source: "DOCKER_USERNAME", outcome: "refused" },
        { source: file, outcome: "used" },
      ]);

      const refused = (await open(server, wrong)).registry.resolve();
      await expect(refused).rejects.toThrow(/DOCKER_USERNAME \(HTTP 401.*anonymous/);
      await expect(refused).rejects.not.toThrow(/wrong-password/);
    });

    test("one token serves many polls, with a password and anonymously", async () => {
      const server = await start({ auth: "token" });
      await server.push("o/app", "v1.0.0");
      const { registry } = await open(server, DOCKER_ENV);
      expect(await chosen(registry)).toBe("v1.0.0");
      expect(await chosen(registry)).toBe("v1.0.0");
      expect(server.tokenRequests()).toBe(1);
      const refused = (await open(server)).registry.resolve();
      await expect(refused).rejects.toMatchObject({ code: "credential" });

      const free = await start({ auth: "token", anonymousTokens: true });
      await free.push("o/app", "v1.2.0");
      const anonymous = await open(free, { DOCKER_USERNAME: "dewy", DOCKER_PASSWORD: "wrong" });
      expect(await chosen(anonymous.registry)).toBe("v1.2.0");
    });

    test("a private CA is trusted only if it is configured", async () => {
      const server = await start({ tls: true });
      await server.buildah("o/app", "v1.0.0", ["linux/amd64"]);
      const { registry } = await open(server, {}, {}, "?insecure=false");
      expect(await chosen(registry)).toBe("v1.0.0");
      const stranger = await open({ ...server, caFile: "" }, {}, {}, "?insecure=false");
      await expect(stranger.registry.resolve()).rejects.toThrow(/certificate is not trusted/);
    });
  },
);
