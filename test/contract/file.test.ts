import { mkdir, readdir, rm, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { encodePath } from "../../src/core/url.ts";
import { hostRegistries } from "../../src/host/registries.ts";
import { fakeClock } from "../fakes/clock.ts";
import { tempDirectory } from "../support/temp_directory.ts";
import { ODD_NAMES } from "./odd_names.ts";
import { CONTRACT_NOW, registryContract } from "./registry.ts";

registryContract("file", {
  oddNames: ODD_NAMES,
  skip: {
    network: "there is no network",
    digest: "only where a checksum file is there; see test/registry/file_registry.test.ts",
  },
  async setup() {
    const dir = join(await tempDirectory(), "rele ases+%");
    await mkdir(dir);
    return {
      url: `file://${encodePath(dir, true)}`,
      options: {
        registries: hostRegistries,
        env: {},
        platform: { os: "linux", arch: "amd64" },
        clock: fakeClock({ now: CONTRACT_NOW }),
      },
      async publish(releases) {
        for (const { tag, files = {}, createdAt } of releases) {
          await mkdir(join(dir, tag), { recursive: true });
          for (const [name, body] of Object.entries(files)) {
            await writeFile(join(dir, tag, name), body);
            if (createdAt !== undefined) await utimes(join(dir, tag, name), createdAt, createdAt);
          }
        }
      },
      async remove(tag) {
        for (const name of await readdir(join(dir, tag))) {
          if (!name.startsWith("shipped_to_")) await rm(join(dir, tag, name));
        }
        if ((await readdir(join(dir, tag))).length === 0)
          await rm(join(dir, tag), { recursive: true });
      },
    };
  },
});
