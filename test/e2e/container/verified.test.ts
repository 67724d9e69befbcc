import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openRegistry } from "../../../src/registries/open.ts";
import { attachSignatures, signImage } from "../../fakes/image_signatures.ts";
import { type FakeSigstore, fakeSigstore, ISSUER, SIGNER, WORKFLOW } from "../../fakes/sigstore.ts";
import { missingEngine } from "../../peers/container_engine.ts";
import { missingDockerRegistry } from "../../peers/docker_registry.ts";
import type { Dewy, LogLine } from "../dewy.ts";
import { deployed } from "../server/served_app.ts";
import { get, NODE, runningOnly, steerContainers } from "./outcomes.ts";
import {
  type ContainerPeers,
  type ServedContainers,
  serveContainers,
  startContainerPeers,
} from "./served_containers.ts";

const RULE = ["--verify", `sigstore=${WORKFLOW},${ISSUER}`];

describe.each(["docker", "podman"] as const)("signed images, with %s", (engine) => {
  const missing = missingEngine(engine) ?? missingDockerRegistry();
  describe.skipIf(missing !== undefined)(missing ?? "as a real engine", () => {
    let peers: ContainerPeers;
    let instance: FakeSigstore;
    beforeAll(async () => {
      [peers, instance] = await Promise.all([startContainerPeers(engine), fakeSigstore()]);
    });
    afterAll(() => peers?.stop());

    /** Signs the newest image as `cosign sign` does, and returns its digest. */
    const sign = async ({ app }: ServedContainers, signer = SIGNER): Promise<string> => {
      const found = await openRegistry(`img://${peers.registry.host}/${app}`).resolve();
      if (found.kind !== "ready") throw new Error(JSON.stringify(found));
      const { digest = "" } = found.artifact;
      const signature = await signImage(instance, digest, signer);
      await attachSignatures(peers.registry.publisher(app), digest, [signature]);
      return digest;
    };
    const rootFlags = async ({ root }: ServedContainers): Promise<readonly string[]> => {
      const path = join(root, "trusted_root.json");
      await writeFile(path, JSON.stringify(instance.trustedRoot));
      return ["--trusted-root", path];
    };
    const pulled = (dewy: Dewy, tag: string): readonly LogLine[] =>
      dewy.lines().filter((line) => line.msg === "Pulling image" && line.tag === tag);
    const refusal = (dewy: Dewy, why: string): Promise<LogLine> =>
      dewy.seen(why, ({ error }) => String(error).includes(why));

    test("run by the digest that the policy verifies, and others are not pulled", {
      timeout: 120_000,
    }, async () => {
      const app = await serveContainers(peers, NODE);
      const flags = [...RULE, ...(await rootFlags(app))];
      await app.publish("v1.0.0");
      const digest = await sign(app);
      const dewy = app.start(flags);
      await deployed(dewy, "v1.0.0");
      const [container] = await app.containers();
      const image = await peers.engine.run(
        "container",
        "inspect",
        "--format",
        engine === "docker" ? "{{.Config.Image}}" : "{{.ImageName}}",
        container?.id ?? "",
      );
      expect(image).toContain(`@${digest}`);

      await app.publish("v1.1.0");
      await refusal(dewy, "the registry has no signature for it; sign it in CI: cosign sign");
      expect(pulled(dewy, "v1.1.0")).toEqual([]);
      expect(await get(app)).toMatch(/^v1\.0\.0 /);

      await sign(app, { ...SIGNER, subject: `${WORKFLOW}-fork@refs/tags/v1.1.0` });
      await refusal(dewy, "-fork@refs/tags/v1.1.0");
      expect(pulled(dewy, "v1.1.0")).toEqual([]);
      expect(await app.running()).toEqual(["v1.0.0"]);

      await sign(app);
      await deployed(dewy, "v1.1.0");
      expect(await get(app)).toMatch(/^v1\.1\.0 /);
    });

    test("are trusted on first use, and then required", { timeout: 120_000 }, async () => {
      const app = await steerContainers(peers, []);
      app.dewy.child.kill("SIGTERM");
      await app.dewy.ended();
      const flags = [...(await rootFlags(app)), "--interval", "1h"];
      await app.publish("v1.0.0");
      await sign(app);
      const dewy = app.restart(flags);
      await deployed(dewy, "v1.0.0");

      await app.publish("v1.1.0");
      await app.operator.run("poll");
      await refusal(dewy, "run dewy trust accept v1.1.0");
      expect(pulled(dewy, "v1.1.0")).toEqual([]);
      expect(await app.running()).toEqual(["v1.0.0"]);

      await app.operator.succeed("trust", "accept", "v1.1.0");
      await app.operator.run("poll");
      await deployed(dewy, "v1.1.0");
      await runningOnly(app, ["v1.1.0"], dewy.stderr);
    });
  });
});
