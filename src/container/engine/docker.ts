import { symlink } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import type { Environment } from "../../core/environment.ts";
import { DOCKER_HUB, parseImageReference } from "../../registries/oci/image_reference.ts";
import type { EngineCommand } from "./command.ts";
import { assertLocalEndpoint, type EngineDialect } from "./dialect.ts";
import { engineLogin, writePrivateJson } from "./login.ts";
import { parseOutput } from "./schema.ts";

const Context = v.object({
  Name: v.string(),
  Endpoints: v.object({ docker: v.object({ Host: v.string() }) }),
});
const Server = v.object({ Version: v.string() });

const QUICK_MS = 15_000;
/** Docker stores Docker Hub logins under this key. */
const DOCKER_HUB_KEY = "https://index.docker.io/v1/";

/** Docker 20.10 or newer. */
export function dockerDialect(env: Environment): EngineDialect {
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
      return `Docker ${parseOutput(Server, output, "docker").Version}`;
    },
    async pullCall({ image, credential, signal }, directory, command) {
      const { registry } = parseImageReference(image);
      const key = registry === DOCKER_HUB ? DOCKER_HUB_KEY : registry;
      const login = engineLogin(credential, "docker");
      await writePrivateJson(join(directory, "config.json"), { auths: { [key]: login } });
      const args = ["--config", directory, "pull", "--quiet", image];
      const { Name: context } = await currentContext(command, signal);
      if (context === "default") return { args };
      // The private configuration directory has no contexts of its own.
      const own = env.DOCKER_CONFIG || join(env.HOME ?? "", ".docker");
      await symlink(join(own, "contexts"), join(directory, "contexts"));
      return { args, env: { DOCKER_CONTEXT: context } };
    },
    eventFilters: ["type=container", "event=die", "event=kill", "event=health_status"],
    eventFormat: "{{json .}}",
  };
}

/** The context is `default` with the address in DOCKER_HOST. */
async function currentContext(
  command: EngineCommand,
  signal: AbortSignal,
): Promise<v.InferOutput<typeof Context>> {
  const output = await command.output({
    args: ["context", "inspect", "--format", "{{json .}}"],
    action: "find the Docker service",
    timeoutMs: QUICK_MS,
    signal,
  });
  return parseOutput(Context, output, "docker");
}
