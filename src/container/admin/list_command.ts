import { tmpdir } from "node:os";
import { join } from "node:path";
import type { CommandContext } from "../../agent/context.ts";
import { DewyError, HostError } from "../../core/error.ts";
import { createHostFetch } from "../../host/net/fetch.ts";
import { createEngine } from "../engine/cli_engine.ts";
import { askAdmin } from "./ask.ts";
import { type AdminContainer, adminContainer } from "./container.ts";
import type { ContainerListConfig } from "./list_config.ts";
import { adminPorts } from "./server.ts";
import { byName, containerTable } from "./table.ts";

/**
 * `dewy container list`: prints the containers of every dewy that runs on this machine; where none does, those that
 * the engine has.
 *
 * @param config what was asked.
 * @returns 0: the question was answered.
 * @throws DewyError when neither a dewy nor the engine answers.
 */
export async function runContainerList(
  config: ContainerListConfig,
  context: CommandContext,
): Promise<number> {
  const found = (await askDewys(config, context)) ?? (await askEngine(config, context));
  const containers = byName(found);
  context.stdout.write(
    config.json ? `${JSON.stringify({ containers })}\n` : containerTable(containers),
  );
  return 0;
}

/** All that run are asked at once; `undefined`: there is none. */
async function askDewys(
  { adminPort }: ContainerListConfig,
  { env, signals }: CommandContext,
): Promise<readonly AdminContainer[] | undefined> {
  // A proxy would ask its own machine.
  const fetch = await createHostFetch({ env: { ...env, no_proxy: "127.0.0.1" } });
  const answers = await Promise.all(
    adminPorts(adminPort).map((port) => askAdmin(port, fetch, signals.stop)),
  );
  const lists = answers.filter((answer) => answer !== undefined);
  return lists.length === 0 ? undefined : lists.flat();
}

async function askEngine(
  { adminPort, engine: name }: ContainerListConfig,
  { env, signals }: CommandContext,
): Promise<readonly AdminContainer[]> {
  const logins = join(tmpdir(), "dewy-no-logins");
  const engine = createEngine(name, { env, cwd: process.cwd(), logins });
  try {
    const containers = await engine.list({ "dewy.managed": "true" }, signals.stop);
    return containers.map((container) => adminContainer(container));
  } catch (cause) {
    signals.stop.throwIfAborted();
    if (!(cause instanceof DewyError)) throw cause;
    const ports = adminPorts(adminPort);
    throw new HostError(
      `no running dewy instances found (tried ports ${ports[0]}-${ports.at(-1)}), and ${name} cannot be asked: ${cause.message}`,
      { cause },
    );
  }
}
