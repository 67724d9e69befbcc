import { execFile } from "node:child_process";
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { makeArtifact } from "../e2e/archive.ts";
import { type ContainerPeers, startContainerPeers } from "../e2e/container/served_containers.ts";
import { type EnginePeer, missingEngine } from "../peers/container_engine.ts";
import { missingDockerRegistry } from "../peers/docker_registry.ts";
import { goPeerPath, missingGoPeer } from "../peers/go/peers.ts";
import { ROOT } from "../runtime/runtimes.ts";
import { tempDirectory } from "../support/temp_directory.ts";
import { missingMachine } from "./machines.ts";

const call = promisify(execFile);
/** Compresses two binaries. */
const COMPRESSION_MS = 300_000;
const CRANE = goPeerPath("crane");

const missing =
  missingEngine("docker") ??
  missingDockerRegistry() ??
  missingGoPeer("crane") ??
  missingMachine("linux_arm64") ??
  (process.arch === "x64" ? undefined : "skipped: this machine is not amd64");
const REGISTRY = "file:///registry";

describe.skipIf(missing !== undefined)(
  `the container image${missing === undefined ? "" : ` (${missing})`}`,
  () => {
    let peers: ContainerPeers;
    let engine: EnginePeer;
    let image: string;

    beforeAll(async () => {
      peers = await startContainerPeers("docker");
      engine = peers.engine;
      image = `${peers.registry.host}/dewy:1.0.0`;
      const env = { ...process.env, CRANE };
      await call(join(ROOT, ".ci/release/image.sh"), [image], { cwd: ROOT, env });
      await engine.run("pull", "--quiet", image);
    }, COMPRESSION_MS);
    afterAll(() => peers?.stop());

    async function registry(): Promise<string> {
      const directory = await tempDirectory();
      await chmod(directory, 0o755);
      await mkdir(join(directory, "v1.0.0"));
      const name = "app_linux_amd64.tar.gz";
      await writeFile(join(directory, "v1.0.0", name), await makeArtifact("v1.0.0"));
      return directory;
    }

    test("checks a registry, as a user without rights", async () => {
      const mount = ["-v", `${await registry()}:/registry:ro`, "--user", "10001"];
      const out = await engine.run("run", "--rm", ...mount, image, "check", REGISTRY);
      expect(out).toMatch(/^version +v1\.0\.0$/m);
    });

    test("deploys assets, and runs their hooks by its shell", async () => {
      const app = await tempDirectory();
      const mounts = ["-v", `${await registry()}:/registry:ro`, "-v", `${app}:/srv`];
      const hook = ["--after-deploy-hook", "cat current/version.txt; echo hooked >hook.txt"];
      const args = ["assets", "--registry", REGISTRY, "-d", "/srv", "--once", ...hook];
      await engine.run("run", "--rm", ...mounts, image, ...args);
      const read = ["--entrypoint", "cat", image, "/srv/current/version.txt", "/srv/hook.txt"];
      expect(await engine.run("run", "--rm", ...mounts, ...read)).toBe("v1.0.0hooked\n");
    });

    test("serves a registry, to another container", async () => {
      const mount = ["-v", `${await registry()}:/registry:ro`];
      const gateway = ["registry", "--upstream", REGISTRY, "--port", "9000", "--host", "127.0.0.1"];
      await engine.run("run", "-d", "--name", "gateway", ...mount, image, ...gateway);
      const check = ["--network", "container:gateway", image, "check"];
      await expect
        .poll(() =>
          engine
            .run("run", "--rm", ...check, "grpc://127.0.0.1:9000?no-tls=true&allow=http")
            .catch(String),
        )
        .toMatch(/^version +v1\.0\.0$/m);
    });

    test("is for arm64, too", async () => {
      const directory = await tempDirectory();
      const platform = "linux/arm64";
      const config = await call(CRANE, ["config", "--platform", platform, image]);
      expect(JSON.parse(config.stdout)).toMatchObject({
        ...{ architecture: "arm64", os: "linux" },
        config: { Entrypoint: ["/usr/bin/dewy"], WorkingDir: "/var/lib/dewy" },
      });
      const tar = join(directory, "files.tar");
      await call(CRANE, ["export", "--platform", platform, image, tar]);
      await call("tar", ["xf", tar, "-C", directory]);
      const dewy = ["-L", directory, join(directory, "usr/bin/dewy")];
      const { stdout } = await call("qemu-aarch64-static", [...dewy, "--version"]);
      expect(stdout).toContain("linux_arm64");
      const busybox = join(directory, "bin/busybox");
      expect((await call("qemu-aarch64-static", [busybox, "echo", "a shell"])).stdout).toBe(
        "a shell\n",
      );
    });

    test("names the image if dewy is to be upgraded", async () => {
      const registryWith9 = await registry();
      await mkdir(join(registryWith9, "v9.0.0"));
      const name = "dewy_linux_amd64.tar.gz";
      await writeFile(join(registryWith9, "v9.0.0", name), await makeArtifact("v9.0.0"));
      const mount = ["-v", `${registryWith9}:/registry:ro`];
      const args = ["upgrade", "--check", "--registry", REGISTRY];
      const out = await engine.run("run", "--rm", ...mount, image, ...args);
      expect(out).toContain("docker pull");
    });
  },
);
