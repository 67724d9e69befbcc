import { mkdir, readdir, symlink } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import { parseImageReference } from "../../registries/oci/image_reference.ts";
import type { EngineCommand } from "./engine_command.ts";
import type { EngineDialect } from "./engine_dialect.ts";
import { engineLogin } from "./engine_login.ts";
import { parse } from "./engine_schema.ts";
import { assertLocalEndpoint } from "./local_endpoint.ts";
import { writePrivateJson } from "./login_directory.ts";
import { podmanHealthRuns } from "./podman_health.ts";

const Info = v.object({
  host: v.object({ serviceIsRemote: v.nullish(v.boolean(), false) }),
  version: v.object({ Version: v.string() }),
});
const Connections = v.array(v.object({ URI: v.string(), Default: v.nullish(v.boolean(), false) }));

const QUICK_MS = 30_000;

/**
 * Podman's command line, 4 or newer.
 *
 * @param env dewy's environment.
 * @returns what is special about it.
 */
export function podmanDialect(env: Readonly<Record<string, string | undefined>>): EngineDialect {
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
      const { host, version } = parse(Info, output, "podman");
      if (host.serviceIsRemote && !env.CONTAINER_HOST) await assertLocalConnection(command, signal);
      return `Podman ${version.Version}`;
    },
    async pullCall({ image, credential, plainHttp }, directory) {
      const { registry } = parseImageReference(image);
      const login = engineLogin(credential, "podman");
      const authFile = join(directory, "auth.json");
      await writePrivateJson(authFile, { auths: { [registry]: login } });
      const insecure = plainHttp ? ["--tls-verify=false"] : [];
      // Where Podman finds no login, it looks on.
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
 * Lends Podman's settings to a directory of configuration, without the logins of this user.
 *
 * @see https://github.com/containers/image/blob/main/docs/containers-auth.json.5.md
 */
async function hideLogins(
  directory: string,
  env: Readonly<Record<string, string | undefined>>,
): Promise<Record<string, string>> {
  const own = env.XDG_CONFIG_HOME || join(env.HOME ?? "", ".config");
  const shown = join(directory, "config");
  await mkdir(join(shown, "containers"), { recursive: true });
  await lendEntries(own, shown, "containers");
  await lendEntries(join(own, "containers"), join(shown, "containers"), "auth.json");
  return { XDG_CONFIG_HOME: shown, DOCKER_CONFIG: directory };
}

async function lendEntries(from: string, to: string, except: string): Promise<void> {
  const names = await readdir(from).catch(() => []);
  for (const name of names) if (name !== except) await symlink(join(from, name), join(to, name));
}

/** Podman may have been told once and for all to use another machine. */
async function assertLocalConnection(command: EngineCommand, signal: AbortSignal): Promise<void> {
  const output = await command.output({
    args: ["system", "connection", "list", "--format", "json"],
    action: "find out where Podman is",
    timeoutMs: QUICK_MS,
    signal,
  });
  const chosen = parse(Connections, output, "podman").find((one) => one.Default);
  assertLocalEndpoint(chosen?.URI ?? "", "podman system connection");
}
