import { execFile } from "node:child_process";
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { makeArtifact } from "../e2e/archive.ts";
import { type EnginePeer, missingEngine, startEngine } from "../peers/container_engine.ts";
import { missingPeer } from "../peers/missing_peer.ts";
import { ROOT } from "../runtime/runtimes.ts";
import { tempDirectory } from "../support/temp_directory.ts";
import { BINARY } from "./build.ts";

const missing = missingEngine("docker") ?? missingPeer(["busybox"], "busybox-static");
const IMAGE = "dewy:test";
const REGISTRY = "file:///registry";

describe.skipIf(missing !== undefined)(
  `the container image${missing === undefined ? "" : ` (${missing})`}`,
  () => {
    let engine: EnginePeer;

    beforeAll(async () => {
      engine = await startEngine("docker");
      const tar = join(engine.directory, "image.tar");
      await promisify(execFile)(join(ROOT, ".ci/release/image.sh"), [BINARY, tar]);
      const changes = ['ENTRYPOINT ["/usr/bin/dewy"]', "ENV PATH=/usr/bin:/bin"];
      await engine.run("import", ...changes.flatMap((one) => ["-c", one]), tar, IMAGE);
    });
    afterAll(() => engine?.stop());

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
      const out = await engine.run("run", "--rm", ...mount, IMAGE, "check", REGISTRY);
      expect(out).toMatch(/^version +v1\.0\.0$/m);
    });

    test("deploys assets, and runs their hooks by its shell", async () => {
      const app = await tempDirectory();
      const mounts = ["-v", `${await registry()}:/registry:ro`, "-v", `${app}:/srv`];
      const hook = ["--after-deploy-hook", "cat current/version.txt; echo hooked >hook.txt"];
      const args = ["assets", "--registry", REGISTRY, "-d", "/srv", "--once", ...hook];
      await engine.run("run", "--rm", ...mounts, IMAGE, ...args);
      const read = ["--entrypoint", "cat", IMAGE, "/srv/current/version.txt", "/srv/hook.txt"];
      expect(await engine.run("run", "--rm", ...mounts, ...read)).toBe("v1.0.0hooked\n");
    });

    test("serves a registry, to another container", async () => {
      const mount = ["-v", `${await registry()}:/registry:ro`];
      const gateway = ["registry", "--upstream", REGISTRY, "--port", "9000", "--host", "127.0.0.1"];
      await engine.run("run", "-d", "--name", "gateway", ...mount, IMAGE, ...gateway);
      const check = ["--network", "container:gateway", IMAGE, "check"];
      await expect
        .poll(() =>
          engine
            .run("run", "--rm", ...check, "grpc://127.0.0.1:9000?no-tls=true&allow=http")
            .catch(String),
        )
        .toMatch(/^version +v1\.0\.0$/m);
    });

    test("names the image if dewy is to be upgraded", async () => {
      const registryWith9 = await registry();
      await mkdir(join(registryWith9, "v9.0.0"));
      const name = "dewy_linux_amd64.tar.gz";
      await writeFile(join(registryWith9, "v9.0.0", name), await makeArtifact("v9.0.0"));
      const mount = ["-v", `${registryWith9}:/registry:ro`];
      const args = ["upgrade", "--check", "--registry", REGISTRY];
      const out = await engine.run("run", "--rm", ...mount, IMAGE, ...args);
      expect(out).toContain("docker pull");
    });
  },
);
