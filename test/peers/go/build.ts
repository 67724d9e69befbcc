/**
 * Builds the missing programs of `peers.ts` before any test runs.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { GO_PEER_DIRECTORY, GO_PEERS, type GoPeer, goPeerPath, isBuiltHere } from "./peers.ts";

/**
 * Called by vitest. If a program cannot be built, its tests are skipped with the reason; with
 * `DEWY_REQUIRE_PEERS=1` the run fails.
 */
export async function setup(): Promise<void> {
  const names = (Object.keys(GO_PEERS) as GoPeer[]).filter(isBuiltHere);
  for (const name of names.filter((one) => !existsSync(goPeerPath(one)))) {
    const started = Date.now();
    console.log(`Building ${name}@${GO_PEERS[name].version} …`);
    const problem = await build(name).then(
      () => undefined,
      (error: Error) => error.message,
    );
    if (problem === undefined) {
      console.log(`Built ${name} in ${Math.round((Date.now() - started) / 1000)} s`);
      continue;
    }
    const reason = `${name} was not built: ${problem}`;
    if (process.env.DEWY_REQUIRE_PEERS === "1") throw new Error(reason);
    console.log(`Skipping: ${reason}`);
  }
}

/** Compiles in three quarters of the processor time: the tests need no fast programs. */
const UNOPTIMIZED = ["-gcflags=all=-N -l", "-ldflags=-s -w"];

async function build(name: GoPeer): Promise<void> {
  const { module, version } = GO_PEERS[name];
  await mkdir(GO_PEER_DIRECTORY, { recursive: true });
  const directory = await mkdtemp(join(GO_PEER_DIRECTORY, ".build-"));
  try {
    await go(["install", ...UNOPTIMIZED, `${module}@${version}`], {
      GOBIN: directory,
      CGO_ENABLED: "0",
    });
    await rename(join(directory, name), goPeerPath(name));
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

function go(args: readonly string[], env: Readonly<Record<string, string>>): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn("go", args, {
      stdio: ["ignore", "ignore", "pipe"],
      env: { ...process.env, ...env },
    });
    let output = "";
    child.stderr.on("data", (chunk) => {
      output = `${output}${chunk}`.slice(-4_000);
    });
    child.once("error", () =>
      reject(new Error("Go is not installed, see https://go.dev/doc/install")),
    );
    child.once("close", (code) => {
      if (code === 0) resolve();
      else reject(new Error(`go ${args.join(" ")} exited with ${code}:\n${output}`));
    });
  });
}
