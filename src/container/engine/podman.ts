import { existsSync } from "node:fs";
import { mkdir, readdir, symlink } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import type { Environment } from "../../core/environment.ts";
import { parseImageReference } from "../../registries/oci/image_reference.ts";
import type { EngineCommand } from "./command.ts";
import { assertLocalEndpoint, type EngineDialect, type HealthRuns } from "./dialect.ts";
import type { EngineContainer } from "./engine.ts";
import { engineLogin, writePrivateJson } from "./login.ts";
import { parseOutput } from "./schema.ts";

const Info = v.object({
  host: v.object({ serviceIsRemote: v.nullish(v.boolean(), false) }),
  version: v.object({ Version: v.string() }),
});
const Connections = v.array(v.object({ URI: v.string(), Default: v.nullish(v.boolean(), false) }));

const QUICK_MS = 30_000;
const CHECK_MS = 60_000;
/** An app that has just started would fail its first check. */
const FIRST_CHECK_MS = 1_000;
const FORGET_MS = 24 * 3600_000;

/** Podman 4 or newer. */
export function podmanDialect(env: Environment): EngineDialect {
  return {
    name: "podman",
    async describe(command, signal) {
      assertLocalEndpoint(env.CONTAINER_HOST ?? "", "CONTAINER_HOST");
      const output = await command.output({
        args: ["info", "--format", "json"],
        action: "use Podman",
        timeoutMs: QUICK_MS,
        signal,
      });
      const { host, version } = parseOutput(Info, output, "podman");
      if (host.serviceIsRemote && !env.CONTAINER_HOST) await assertLocalConnection(command, signal);
      return `Podman ${version.Version}`;
    },
    async pullCall({ image, credential, plainHttp }, directory) {
      const { registry } = parseImageReference(image);
      const login = engineLogin(credential, "podman");
      const authFile = join(directory, "auth.json");
      await writePrivateJson(authFile, { auths: { [registry]: login } });
      const insecure = plainHttp ? ["--tls-verify=false"] : [];
      // Without a login in this file, Podman searches other files.
      const hidden = credential === undefined ? await hideLogins(directory, env) : {};
      return { args: ["pull", "--quiet", "--authfile", authFile, ...insecure, image], env: hidden };
    },
    healthRuns: podmanHealthRuns,
    eventFilters: [
      ...["type=container", "event=died", "event=health_status"],
      ...["event=kill", "event=stop"],
    ],
    eventFormat: "json",
  };
}

/**
 * Links the user's Podman settings into a configuration directory without the user's logins.
 *
 * @see https://github.com/containers/image/blob/main/docs/containers-auth.json.5.md
 */
async function hideLogins(directory: string, env: Environment): Promise<Record<string, string>> {
  const own = env.XDG_CONFIG_HOME || join(env.HOME ?? "", ".config");
  const shown = join(directory, "config");
  await mkdir(join(shown, "containers"), { recursive: true });
  await linkEntries(own, shown, "containers");
  await linkEntries(join(own, "containers"), join(shown, "containers"), "auth.json");
  return { XDG_CONFIG_HOME: shown, DOCKER_CONFIG: directory };
}

async function linkEntries(from: string, to: string, except: string): Promise<void> {
  const names = await readdir(from).catch(() => []);
  for (const name of names) if (name !== except) await symlink(join(from, name), join(to, name));
}

/** The user's default connection can point to another machine. */
async function assertLocalConnection(command: EngineCommand, signal: AbortSignal): Promise<void> {
  const output = await command.output({
    args: ["system", "connection", "list", "--format", "json"],
    action: "find the Podman service",
    timeoutMs: QUICK_MS,
    signal,
  });
  const chosen = parseOutput(Connections, output, "podman").find((one) => one.Default);
  assertLocalEndpoint(chosen?.URI ?? "", "podman system connection");
}

/**
 * Runs HEALTHCHECKs on systems without systemd, whose timers Podman relies on.
 *
 * @see https://docs.podman.io/en/stable/markdown/podman-healthcheck-run.1.html
 */
function podmanHealthRuns(command: EngineCommand): HealthRuns | undefined {
  if (existsSync("/run/systemd/system")) return undefined;
  const lastRuns = new Map<string, number>();

  function isDue({ id, status, health, checkEveryMs, startedAt }: EngineContainer): boolean {
    if (status !== "running" || health === undefined) return false;
    const lastRun = lastRuns.get(id);
    if (lastRun !== undefined) return Date.now() - lastRun >= checkEveryMs;
    return Date.now() - Date.parse(startedAt) >= Math.min(FIRST_CHECK_MS, checkEveryMs);
  }

  return {
    async run(containers, signal) {
      const now = Date.now();
      for (const [id, at] of lastRuns) if (now - at > FORGET_MS) lastRuns.delete(id);
      const due = containers.filter(isDue);
      for (const { id, name } of due) {
        lastRuns.set(id, now);
        const args = ["healthcheck", "run", id];
        // The result shows in the container's state.
        await command.run({ args, action: `check ${name}`, timeoutMs: CHECK_MS, signal });
      }
      return due.length > 0;
    },
  };
}
