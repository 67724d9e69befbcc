import { existsSync } from "node:fs";
import { mkdir, open, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { packTar } from "modern-tar";
import { describe, expect, test } from "vitest";
import { runDewy, startDewy, until } from "../e2e/dewy.ts";
import { freePort } from "../peers/ports.ts";
import { binaryOf } from "./build.ts";
import { machines, missingMachine } from "./machines.ts";

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
});

describe.each(Object.entries(machines))("the binary for %s", (target, open) => {
  const missing = missingMachine(target);
  const title = missing === undefined ? "" : ` (${missing})`;

  test.skipIf(missing !== undefined)(`checks a registry${title}`, async () => {
    const { command, directory, path } = await open();
    await publish(directory, target);
    const { code, stdout, stderr } = await runDewy(command, ["check", `file://${path}/registry`], {
      cwd: directory,
    });
    expect(code, stderr).toBe(0);
    const [, arch = ""] = target.split("_");
    expect(stdout).toMatch(new RegExp(`^artifact +app_linux_${arch}\\.tar\\.gz$`, "m"));
    // An emulated program sees the files of this machine, which has glibc.
    const libc = target === "linux_amd64_musl" ? "musl" : "glibc";
    expect(stdout).toMatch(new RegExp(`^platform +linux/${arch} \\(${libc}\\)$`, "m"));
  });

  test.skipIf(missing !== undefined)(`serves an app${title}`, async () => {
    const { command, directory, path } = await open();
    await publish(directory, target);
    await mkdir(join(directory, "srv"));
    const port = await freePort();
    const args = [
      ...[
        "server",
        "--registry",
        `file://${path}/registry`,
        "--directory",
        `${path}/srv`,
        "--once",
      ],
      // To share its socket, dewy would start itself, which an emulator does not support.
      ...["--port", `127.0.0.1:${port}`, "--handoff", "proxy"],
      ...["--", `${path}/srv/current/app`],
    ];
    const dewy = startDewy(command, args, { cwd: directory });
    const ask = async () => (await fetch(`http://127.0.0.1:${port}/version.txt`)).text();
    await until(
      async () => (await ask().catch(() => "")) === "v1.0.0",
      () => dewy.stderr(),
    );
    dewy.child.kill("SIGTERM");
    expect(await dewy.ended()).toBe(0);
  });
});

async function publish(directory: string, target: string): Promise<void> {
  const [, arch] = target.split("_");
  const release = join(directory, "registry/v1.0.0");
  await mkdir(release, { recursive: true });
  const app = `#!/bin/sh\nexec busybox httpd -f -p "127.0.0.1:$PORT" -h "\${0%/*}"\n`;
  const tar = await packTar(
    [
      ["app", app],
      ["version.txt", "v1.0.0"],
    ].map(([name = "", body = ""]) => ({ header: { name, size: body.length, mode: 0o755 }, body })),
  );
  await writeFile(join(release, `app_linux_${arch}.tar.gz`), gzipSync(tar));
}
