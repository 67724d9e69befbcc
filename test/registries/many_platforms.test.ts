import { expect, test } from "vitest";
import type { Platform, Registry } from "../../src/core/types.ts";
import { listRegistry } from "../../src/registries/list_registry.ts";
import type { ReleaseSource } from "../../src/resolve/resolve.ts";
import { fakeClock } from "../fakes/clock.ts";
import { ghrWorld } from "./github/world.ts";

const AMD64: Platform = { os: "linux", arch: "amd64" };
const ARM64: Platform = { os: "linux", arch: "arm64" };
const MINUTE_MS = 60_000;

async function chosen(registry: Registry, platform: Platform, maxAgeMs: number): Promise<string> {
  const answer = await registry.resolve({ platform, maxAgeMs });
  return answer.kind === "ready" ? answer.artifact.name : answer.kind;
}

test("one listing answers for several machines until it is too old", async () => {
  const clock = fakeClock();
  const calls: string[] = [];
  const source: ReleaseSource = {
    async *tags() {
      calls.push("tags");
      yield { tag: "v1.0.0" };
    },
    release: async (tag) => {
      calls.push(tag);
      const files = ["app_linux_amd64.zip", "app_linux_arm64.zip"];
      return { id: tag, files: files.map((name) => ({ name, url: `test://${name}` })) };
    },
  };
  const registry = listRegistry({
    locator: {
      type: "test",
      url: "test://here",
      artifact: "",
      preRelease: false,
      calver: "",
      constraint: "",
      slot: "",
    },
    io: {
      platform: AMD64,
      env: {},
      fetch: () => Promise.reject(new Error("unexpected call")),
      clock,
      emit: () => {},
    },
    source,
    open: () => Promise.reject(new Error("unexpected open")),
  });
  expect(registry.anyPlatform).toBe(true);
  expect(await chosen(registry, AMD64, 0)).toBe("app_linux_amd64.zip");
  clock.advance(1000);
  expect(await chosen(registry, ARM64, 1000)).toBe("app_linux_arm64.zip");
  expect(calls).toEqual(["tags", "v1.0.0"]);
  expect(await chosen(registry, AMD64, 999)).toBe("app_linux_amd64.zip");
  expect(calls).toEqual(["tags", "v1.0.0", "tags", "v1.0.0"]);
});

test("GitHub is asked again for a file that only one of two machines misses", async () => {
  const { github, registry, clock } = ghrWorld();
  github.publish("v1.0.0", [{ name: "app_linux_amd64.tar.gz" }]);
  expect(await chosen(registry, ARM64, 0)).toBe("pending");
  expect(await chosen(registry, AMD64, MINUTE_MS)).toBe("app_linux_amd64.tar.gz");
  github.addAsset("v1.0.0", { name: "app_linux_arm64.tar.gz" });
  clock.advance(MINUTE_MS);
  expect(await chosen(registry, ARM64, 0)).toBe("app_linux_arm64.tar.gz");
  github.verify();
});
