import { existsSync } from "node:fs";
import { realpath } from "node:fs/promises";
import { installCommand, runOnceBy } from "../../core/optional_packages.ts";
import { BINARY } from "../../host/process/own_program.ts";
import { run } from "../../host/process/run.ts";

/** A file of dewy's own container image. In other containers, a binary can be replaced. */
const IMAGE_MARK = "/etc/dewy-image";

/** How this dewy came onto the machine. */
export type Installation =
  /** A single binary that nobody manages: dewy replaces it. */
  | { kind: "binary"; path: string }
  /** Something else owns the files; `command` upgrades them. */
  | { kind: "managed"; path: string; owner: string; command: string };

/** @param version What the commands upgrade to, without a `v`. */
export async function findInstallation(
  version: string,
  env: Readonly<Record<string, string | undefined>>,
): Promise<Installation> {
  if (BINARY === "") return { kind: "managed", ...scriptInstallation(version, import.meta.url) };
  const path = await realpath(process.execPath);
  const owner = ownerByPlace(path) ?? (await ownerByDatabase(path, version, env));
  return owner === undefined ? { kind: "binary", path } : { kind: "managed", path, ...owner };
}

type Owner = Pick<Extract<Installation, { kind: "managed" }>, "owner" | "command">;

/** `<DENO_DIR>/npm/<registry>/dewy/<version>/`, of `deno run npm:dewy`. */
const DENO_CACHE = /\/npm\/[^/]+\/dewy\/\d[^/]*\//;

/** Exported for its test. */
export function scriptInstallation(
  version: string,
  moduleUrl: string,
  runtime: object = globalThis,
): Owner & { path: string } {
  const path = moduleUrl.startsWith("file:") ? new URL(moduleUrl).pathname : moduleUrl;
  const owner = runOnceBy(path);
  if (owner !== undefined) return { path, owner, command: `${owner} dewy@${version}` };
  const isInstalled = path.includes("/node_modules/");
  if ("Deno" in runtime && DENO_CACHE.test(path)) {
    return { path, owner: "Deno's cache", command: `deno run --allow-all npm:dewy@${version}` };
  }
  if ("Deno" in runtime && (isInstalled || !moduleUrl.startsWith("file:"))) {
    const command = `deno install --global --force --allow-all --name dewy npm:dewy@${version}`;
    return { path, owner: "Deno", command };
  }
  if (isInstalled) {
    const command = installCommand({ dewy: version }, moduleUrl, runtime);
    return { path, owner: "a package manager", command };
  }
  return { path, owner: "a checkout of its source", command: "git pull" };
}

function ownerByPlace(path: string): Owner | undefined {
  if (existsSync(IMAGE_MARK)) {
    return { owner: "a container image", command: "docker pull, with the new version's tag" };
  }
  if (path.includes("/Cellar/")) {
    return { owner: "Homebrew", command: "brew upgrade dewy" };
  }
  if (path.startsWith("/nix/store/")) return { owner: "Nix", command: "nix profile upgrade dewy" };
  return undefined;
}

/** The databases of installed packages, by the program that asks them. */
async function ownerByDatabase(
  path: string,
  version: string,
  env: Readonly<Record<string, string | undefined>>,
): Promise<Owner | undefined> {
  const [, arch] = BINARY.split("_");
  const rpmArch = arch === "arm64" ? "aarch64" : "x86_64";
  if (await succeeds(["dpkg", "-S", path], env)) {
    return { owner: "a Debian package", command: `apt-get install ./dewy_${version}_${arch}.deb` };
  }
  if (await succeeds(["rpm", "-qf", path], env)) {
    const command = `dnf install ./dewy-${version}-1.${rpmArch}.rpm`;
    return { owner: "an RPM package", command };
  }
  return undefined;
}

async function succeeds(
  command: readonly [string, ...string[]],
  env: Readonly<Record<string, string | undefined>>,
): Promise<boolean> {
  try {
    return (await run({ command, cwd: "/", env, timeoutMs: 10_000 })).exitCode === 0;
  } catch {
    return false; // The program is not installed.
  }
}
