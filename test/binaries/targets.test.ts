import { existsSync } from "node:fs";
import { mkdir, open, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { missingPeer } from "../peers/missing_peer.ts";
import { run } from "../runtime/runtimes.ts";
import { tempDirectory } from "../support/temp_directory.ts";
import { binaryOf } from "./build.ts";

const LOADERS = {
  linux_amd64: "/lib64/ld-linux-x86-64.so.2",
  linux_arm64: "/lib/ld-linux-aarch64.so.1",
  linux_amd64_musl: "/lib/ld-musl-x86_64.so.1",
  linux_arm64_musl: "/lib/ld-musl-aarch64.so.1",
};
/** The header of a Mach-O file: https://github.com/apple-oss-distributions/xnu/blob/main/EXTERNAL_HEADERS/mach-o/loader.h */
const MACHINES = { darwin_amd64: "cffaedfe07000001", darwin_arm64: "cffaedfe0c000001" };

/** Only the release builds all of them. */
function describeBuilt(target: string): string {
  return existsSync(binaryOf(target)) ? target : `${target} (skipped: npm run binaries builds it)`;
}

async function beginningOf(target: string): Promise<Buffer> {
  const file = await open(binaryOf(target));
  try {
    return (await file.read(Buffer.alloc(4096), 0, 4096, 0)).buffer;
  } finally {
    await file.close();
  }
}

describe("a binary for another machine", () => {
  for (const [target, loader] of Object.entries(LOADERS)) {
    test.skipIf(!existsSync(binaryOf(target)))(
      `is an ELF file with the right loader: ${describeBuilt(target)}`,
      async () => {
        const beginning = await beginningOf(target);
        expect(beginning.subarray(0, 4).toString("latin1")).toBe("\x7fELF");
        expect(beginning.includes(`${loader}\0`)).toBe(true);
      },
    );
  }

  for (const [target, machine] of Object.entries(MACHINES)) {
    test.skipIf(!existsSync(binaryOf(target)))(
      `is a Mach-O file, which is not run here: ${describeBuilt(target)}`,
      async () => {
        expect((await beginningOf(target)).subarray(0, 8).toString("hex")).toBe(machine);
      },
    );
  }

  const missing = missingPeer(["qemu-aarch64-static"], "qemu-user-static libc6-arm64-cross");
  test.skipIf(missing !== undefined)(
    `checks a registry under emulation: linux_arm64${missing === undefined ? "" : ` (${missing})`}`,
    async () => {
      const directory = await tempDirectory();
      await mkdir(join(directory, "v1.0.0"));
      await writeFile(join(directory, "v1.0.0", "app_linux_arm64.tar.gz"), "bytes");
      const emulated = ["-L", "/usr/aarch64-linux-gnu", binaryOf("linux_arm64")];
      const args = ["check", `file://${directory}`];
      const { code, stdout, stderr } = await run("qemu-aarch64-static", [...emulated, ...args]);
      expect(code, stderr).toBe(0);
      expect(stdout).toMatch(/^artifact +app_linux_arm64\.tar\.gz$/m);
    },
  );
});
