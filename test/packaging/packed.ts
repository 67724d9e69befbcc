import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Output, ROOT, run } from "../runtime/runtimes.ts";
import { type NpmRegistry, serveNpmRegistry } from "./npm_registry.ts";

export const manifest: {
  name: string;
  version: string;
  exports: Record<string, unknown>;
  dependencies: Record<string, string>;
  peerDependencies: Record<string, string>;
} = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));

/** An installation without a cache; on a busy machine it takes more than a minute. */
const CLIENT_TIMEOUT_MS = 400_000;
/** Of a test, and of packing and installing before the tests. */
export const TIMEOUT_MS = 500_000;

/** A packed dewy in a package registry of its own, and a home where no client has a cache. */
export interface Packed {
  tarball: string;
  /** A registry of files with v1.0.0, as an argument of `dewy check`. */
  url: string;
  /** Makes an empty directory. */
  directory(name: string): string;
  /** Runs a client in a directory; a failure of the client is an error. */
  client(cwd: string, program: string, ...args: readonly string[]): Promise<Output>;
  close(): Promise<void>;
}

export async function pack(): Promise<Packed> {
  const base = mkdtempSync(join(tmpdir(), "dewy-packaging-"));
  const directory = (name: string): string => {
    mkdirSync(join(base, name), { recursive: true });
    return join(base, name);
  };
  const packed = await run("npm", ["pack", "--ignore-scripts", "--pack-destination", base]);
  if (packed.code !== 0) throw new Error(packed.stderr);
  const tarball = join(base, `${manifest.name}-${manifest.version}.tgz`);
  writeFileSync(join(directory("registry/v1.0.0"), `app_${process.platform}_${process.arch}`), "");
  const registry = await serveNpmRegistry(tarball, manifest);
  const env = clientEnvironment(directory("home"), registry);
  return {
    tarball,
    url: `file://${join(base, "registry")}`,
    directory,
    client: async (cwd, program, ...args) => {
      const output = await run(program, args, { cwd, env, timeoutMs: CLIENT_TIMEOUT_MS });
      if (output.code === 0) return output;
      throw new Error(`${program} ${args.join(" ")}: ${output.stderr}${output.stdout}`);
    },
    close: async () => {
      await registry.close();
      rmSync(base, { recursive: true });
    },
  };
}

/** All clients read the registry from a variable, and keep what they download below the home. */
function clientEnvironment(home: string, registry: NpmRegistry): Record<string, string> {
  writeFileSync(join(home, ".npmrc"), `registry=${registry.url}/\n`);
  return {
    HOME: home,
    XDG_CACHE_HOME: join(home, "cache"),
    XDG_DATA_HOME: join(home, "data"),
    BUN_INSTALL: join(home, "bun"),
    BUN_INSTALL_CACHE_DIR: join(home, "bun-cache"),
    DENO_DIR: join(home, "deno"),
    NPM_CONFIG_REGISTRY: `${registry.url}/`,
    // npm sets these for the script that runs the tests.
    npm_config_registry: `${registry.url}/`,
    npm_config_userconfig: join(home, ".npmrc"),
    npm_config_cache: join(home, "npm"),
    npm_config_update_notifier: "false",
  };
}
