import { symlink } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import { DOCKER_HUB, parseImageReference } from "../../registries/oci/image_reference.ts";
import type { EngineCommand } from "./engine_command.ts";
import type { EngineDialect } from "./engine_dialect.ts";
import { engineLogin } from "./engine_login.ts";
import { parse } from "./engine_schema.ts";
import { assertLocalEndpoint } from "./local_endpoint.ts";
import { writePrivateJson } from "./login_directory.ts";

const Context = v.object({
  Name: v.string(),
  Endpoints: v.object({ docker: v.object({ Host: v.string() }) }),
});
const Server = v.object({ Version: v.string() });

const QUICK_MS = 15_000;
/** Docker keeps logins of Docker Hub under this name. */
const DOCKER_HUB_KEY = "https://index.docker.io/v1/";

/**
 * Docker's command line, 20.10 or newer.
 *
 * @param env dewy's environment.
 * @returns what is special about it.
 */
export function dockerDialect(env: Readonly<Record<string, string | undefined>>): EngineDialect {
  return {
    name: "docker",
    async describe(command, signal) {
      const { Name: context, Endpoints: endpoints } = await currentContext(command, signal);
      const origin = env.DOCKER_HOST ? "DOCKER_HOST" : `the Docker context "${context}"`;
      assertLocalEndpoint(endpoints.docker.Host, origin);
      const output = await command.output({
        args: ["version", "--format", "{{json .Server}}"],
        action: "use Docker",
        timeoutMs: QUICK_MS,
        signal,
      });
      return `Docker ${parse(Server, output, "docker").Version}`;
    },
    async pullCall({ image, credential, signal }, directory, command) {
      const { registry } = parseImageReference(image);
      const key = registry === DOCKER_HUB ? DOCKER_HUB_KEY : registry;
      const login = engineLogin(credential, "docker");
      await writePrivateJson(join(directory, "config.json"), { auths: { [key]: login } });
      const { Name: context } = await currentContext(command, signal);
      const chosen: Record<string, string> =
        context === "default" ? {} : { DOCKER_CONTEXT: context };
      if (context !== "default") await linkContexts(directory, env);
      return { args: ["--config", directory, "pull", "--quiet", image], env: chosen };
    },
    eventFilters: ["type=container", "event=die", "event=kill", "event=health_status"],
    eventFormat: "{{json .}}",
  };
}

/** The context that the user has chosen, or `default` with the address in DOCKER_HOST. */
async function currentContext(
  command: EngineCommand,
  signal: AbortSignal,
): Promise<v.InferOutput<typeof Context>> {
  const output = await command.output({
    args: ["context", "inspect", "--format", "{{json .}}"],
    action: "find out where Docker is",
    timeoutMs: QUICK_MS,
    signal,
  });
  return parse(Context, output, "docker");
}

/** Another configuration directory has no contexts; those of the user are lent to it. */
async function linkContexts(
  directory: string,
  env: Readonly<Record<string, string | undefined>>,
): Promise<void> {
  const own = env.DOCKER_CONFIG || join(env.HOME ?? "", ".docker");
  await symlink(join(own, "contexts"), join(directory, "contexts"));
}
