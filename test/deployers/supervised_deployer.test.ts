import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import type { Retention } from "../../src/deploy/state.ts";
import { openReleaseDirectory } from "../../src/deployers/release_directory.ts";
import { supervisedDeployer } from "../../src/deployers/supervised_deployer.ts";
import { world } from "../server/supervisor/world.ts";
import { tempDirectory } from "../support/temp_directory.ts";

function retain(keep: ReadonlySet<string>, others: number): () => Promise<Retention> {
  return async () => ({ keep, others });
}

it("keeps releases whose processes still run", async () => {
  const root = await tempDirectory();
  const names = Array.from({ length: 9 }, (_, day) => `2026010${day + 1}T000000Z`);
  for (const name of names) await mkdir(join(root, "releases", name), { recursive: true });
  const [oldest = "", second = ""] = names;
  const { supervisor } = world();
  await supervisor.ensureRunning({ tag: "v1.0.0", directory: oldest });
  const deployer = supervisedDeployer({
    directory: await openReleaseDirectory(root),
    stage: async () => ({ directory: "" }),
    runner: supervisor,
    bakeMs: 0,
    tagOf: async () => undefined,
    onStarted: () => {},
  });
  expect(await deployer.prune(retain(new Set(), 7))).toEqual([second]);
  expect(await readdir(join(root, "releases"))).toContain(oldest);
  await supervisor.stop();
  expect(await deployer.prune(retain(new Set(), 7))).toEqual([oldest]);
});
