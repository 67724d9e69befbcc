import { tmpdir } from "node:os";
import { join } from "node:path";
import * as v from "valibot";
import type { CommandContext } from "../../agent/context.ts";
import { DewyError, HostError, RemoteError } from "../../core/error.ts";
import { createHostFetch } from "../../host/net/fetch.ts";
import { createEngine } from "../engine/cli_engine.ts";
import { LABELS } from "../options/names.ts";
import { type AdminContainer, adminContainer } from "./container.ts";
import type { ContainerListConfig } from "./list_config.ts";
import { adminPorts } from "./server.ts";
import { byName, containerTable } from "./table.ts";

/** Longer than an admin API waits for its engine. */
const TIMEOUT_MS = 15_000;
const MAX_REASON = 500;

const text = v.nullish(v.string(), "");
const ContainersBody = v.object({
  containers: v.nullable(
    v.array(
      v.object({
        id: text,
        name: v.string(),
        image: text,
        status: text,
        state: v.exactOptional(v.string()),
        ip_port: text,
        started_at: text,
        deployed_at: text,
        labels: v.nullish(v.record(v.string(), v.string()), {}),
      }),
    ),
  ),
});

/** Prints the containers of all running dewy processes, or else those of the engine. */
export async function runContainerList(
  config: ContainerListConfig,
  context: CommandContext,
): Promise<number> {
  const found = (await listFromAdmin(config, context)) ?? (await listFromEngine(config, context));
  const containers = byName(found);
  context.stdout.write(
    config.json ? `${JSON.stringify({ containers })}\n` : containerTable(containers),
  );
  return 0;
}

/** Queries all admin ports at once. Returns `undefined` if no dewy answers. */
async function listFromAdmin(
  { adminPort }: ContainerListConfig,
  { env, signals }: CommandContext,
): Promise<readonly AdminContainer[] | undefined> {
  // An HTTP proxy would connect to its own loopback.
  const fetch = await createHostFetch({ env: { ...env, no_proxy: "127.0.0.1" } });
  const answers = await Promise.all(
    adminPorts(adminPort).map((port) => queryAdmin(port, fetch, signals.stop)),
  );
  const lists = answers.filter((answer) => answer !== undefined);
  return lists.length === 0 ? undefined : lists.flat();
}

async function listFromEngine(
  { adminPort, engine: name }: ContainerListConfig,
  { env, signals }: CommandContext,
): Promise<readonly AdminContainer[]> {
  const logins = join(tmpdir(), "dewy-no-logins");
  const engine = createEngine(name, { env, cwd: process.cwd(), logins });
  try {
    const containers = await engine.list({ [LABELS.managed]: "true" }, signals.stop);
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

/** Returns `undefined` if no dewy answers on this port, and throws if its admin API fails. */
async function queryAdmin(
  port: number,
  fetch: CommandContext["fetch"],
  signal: AbortSignal,
): Promise<readonly AdminContainer[] | undefined> {
  const url = `http://127.0.0.1:${port}/api/containers`;
  const answer = await get(url, fetch, signal);
  if (answer === undefined) return undefined;
  const { status, body } = answer;
  if (status === 200) return parseContainers(body);
  // Another program may use the port and answer an unknown path in any way.
  if (status < 500) return undefined;
  const reason = body.trim() === "" ? "" : `: ${body.trim().slice(0, MAX_REASON)}`;
  throw new RemoteError(`admin API returned status ${status}${reason}`, {
    method: "GET",
    url,
    status,
  });
}

async function get(
  url: string,
  fetch: CommandContext["fetch"],
  signal: AbortSignal,
): Promise<{ status: number; body: string } | undefined> {
  const either = AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]);
  try {
    const response = await fetch(url, { signal: either, redirect: "manual" });
    return { status: response.status, body: await response.text() };
  } catch {
    signal.throwIfAborted();
    return undefined;
  }
}

function parseContainers(body: string): readonly AdminContainer[] | undefined {
  const parsed = v.safeParse(v.pipe(v.string(), v.parseJson(), ContainersBody), body);
  return parsed.success ? (parsed.output.containers ?? []) : undefined;
}
