/**
 * Other machines than this one, as far as it can run their programs: with Debian's C libraries and
 * the emulator of QEMU. `test/binaries/prepare.sh` fetches the libraries.
 *
 * Debian: `apt-get install -y --no-install-recommends qemu-user-static busybox-static gcc python3-pip unzip`.
 *
 * @module
 */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { copyFile, mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { promisify } from "node:util";
import { missingPeer } from "../peers/missing_peer.ts";
import { ROOT } from "../runtime/runtimes.ts";
import { tempDirectory } from "../support/temp_directory.ts";
import { bareRoot, missingBareRoot } from "./bare_root.ts";
import { binaryOf } from "./build.ts";

const DEBIAN = join(ROOT, "build/debian");
const MUSL = join(ROOT, "build/musl");

export interface Machine {
  /** Runs dewy. */
  command: readonly [string, ...string[]];
  /** Its directory, as this machine sees it. */
  directory: string;
  /** The same, as dewy sees it. */
  path: string;
}

/** By the target of the binary that runs on it. */
export const machines: Readonly<Record<string, () => Promise<Machine>>> = {
  linux_arm64: async () => emulated("linux_arm64"),
  linux_arm64_musl: async () => {
    const libraries = await tempDirectory();
    await addCxx(libraries, "aarch64");
    return emulated("linux_arm64_musl", "-E", `LD_LIBRARY_PATH=${libraries}`);
  },
  linux_amd64_musl: async () => {
    const { directory, dewy, add } = await bareRoot(binaryOf("linux_amd64_musl"));
    await add(join(DEBIAN, "amd64/lib/x86_64-linux-musl/libc.so"), "/lib/ld-musl-x86_64.so.1");
    await mkdir(join(directory, "usr/lib"), { recursive: true });
    await addCxx(join(directory, "usr/lib"), "x86_64");
    await addAborts(join(directory, "usr/lib/aborts.so"));
    return { command: dewy({ LD_PRELOAD: "/usr/lib/aborts.so" }), directory, path: "" };
  },
};

/** Returns why a binary cannot run here, or `undefined` if it can. */
export function missingMachine(target: string): string | undefined {
  const missing = target.includes("arm64")
    ? missingPeer(["qemu-aarch64-static", "busybox"], "qemu-user-static busybox-static")
    : missingBareRoot();
  if (missing !== undefined) return missing;
  const files = [binaryOf(target), DEBIAN, ...(target.endsWith("musl") ? [MUSL] : [])];
  const absent = files.find((file) => !existsSync(file));
  if (absent === undefined) return undefined;
  const reason = `skipped: there is no ${absent}; npm run test:binaries makes it`;
  if (process.env.DEWY_REQUIRE_PEERS !== "1") return reason;
  throw new Error(`DEWY_REQUIRE_PEERS=1, but ${reason}`);
}

async function emulated(target: string, ...options: string[]): Promise<Machine> {
  const directory = await tempDirectory();
  const qemu = ["qemu-aarch64-static", "-L", join(DEBIAN, "arm64")] as const;
  return { command: [...qemu, ...options, binaryOf(target)], directory, path: directory };
}

/** A wheel has libstdc++ under a name with a hash. */
async function addCxx(directory: string, machine: string): Promise<void> {
  const [wheel = ""] = await readdir(join(MUSL, machine));
  for (const name of await readdir(join(MUSL, machine, wheel))) {
    const target = name.startsWith("libstdc++") ? "libstdc++.so.6" : name;
    await copyFile(join(MUSL, machine, wheel, name), join(directory, target));
  }
}

/** Two functions that only a newer libstdc++ has, and that end the program in it, too. */
async function addAborts(path: string): Promise<void> {
  const names = ["_ZSt28__throw_bad_array_new_lengthv", "_ZSt21__glibcxx_assert_failPKciS0_S0_"];
  const source = `${path}.c`;
  await writeFile(
    source,
    names.map((name) => `void ${name}(void) { __builtin_trap(); }\n`).join(""),
  );
  await promisify(execFile)("gcc", ["-shared", "-nostdlib", "-fPIC", "-o", path, source]);
}
