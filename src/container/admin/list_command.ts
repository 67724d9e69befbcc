import { tmpdir } from "node:os";
import { join } from "node:path";
import * as v from "valibot";
import { AdminContainer } from "../../admin/container.ts";
import { adminPorts } from "../../admin/ports.ts";
import type { CommandContext } from "../../agent/context.ts";
import { ConfigError, DewyError, HostError, RemoteError } from "../../core/error.ts";
import { messageOf } from "../../core/message_of.ts";
import { printable } from "../../core/text.ts";
import { createHostFetch } from "../../host/net/fetch.ts";
import type { ContainerListConfig } from "../config.ts";
import { createEngine } from "../engine/cli_engine.ts";
import { LABELS } from "../options/names.ts";
import { adminContainer } from "./container.ts";

/** Longer than an admin API waits for its engine. */
const TIMEOUT_MS = 15_000;
const MAX_REASON = 500;
/** Only dewy's answer says so: another program may use the port. */
const REALM = 'realm="dewy"';

const GAP = 4;

const ContainersBody = v.object({ containers: v.nullable(v.array(AdminContainer)) });

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
  { adminPort, adminTokenFile }: ContainerListConfig,
  context: CommandContext,
): Promise<readonly AdminContainer[] | undefined> {
  const { env, signals, emit } = context;
  const token = adminTokenFile && (await readToken(adminTokenFile, context));
  const headers = new Headers(token ? { authorization: `Bearer ${token}` } : {});
  // An HTTP proxy would connect to its own loopback.
  const fetch = await createHostFetch({ env: { ...env, no_proxy: "127.0.0.1" } });
  const answers = await Promise.all(
    adminPorts(adminPort).map((port) => queryAdmin(port, headers, fetch, signals.stop)),
  );
  const lists = answers.filter((answer) => Array.isArray(answer));
  const refusals = answers.filter((answer) => answer instanceof ConfigError);
  const [refusal] = refusals;
  if (refusal === undefined) return lists.length === 0 ? undefined : lists.flat();
  if (lists.length === 0) throw refusal;
  for (const { message } of refusals) emit({ type: "warning", important: true, message });
  return lists.flat();
}

/** A file may have several tokens, of which any is valid. */
async function readToken(path: string, { io }: CommandContext): Promise<string | undefined> {
  try {
    const lines = (await io.readTextFile?.(path))?.split("\n") ?? [];
    return lines.map((line) => line.trim()).find((line) => line !== "");
  } catch (cause) {
    throw new ConfigError(`Cannot use --admin-token-file: ${messageOf(cause)}`, { cause });
  }
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
      `no running dewy instances found (tried ports ${ports[0]}-${ports.at(-1)}), and ${name} does not answer: ${cause.message}`,
      { cause },
    );
  }
}

/** Returns `undefined` if no dewy answers on this port, and throws if its admin API fails. */
async function queryAdmin(
  port: number,
  headers: Headers,
  fetch: CommandContext["fetch"],
  signal: AbortSignal,
): Promise<readonly AdminContainer[] | ConfigError | undefined> {
  const url = `http://127.0.0.1:${port}/api/containers`;
  const answer = await get(url, headers, fetch, signal);
  if (answer === undefined) return undefined;
  const { status, body, challenge } = answer;
  if (status === 200) return parseContainers(body);
  if (status === 401 && challenge.includes(REALM)) {
    const hint = "--admin-token-file names the file with its token";
    return new ConfigError(`the admin API on port ${port} requires a token; ${hint}`);
  }
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
  headers: Headers,
  fetch: CommandContext["fetch"],
  signal: AbortSignal,
): Promise<{ status: number; body: string; challenge: string } | undefined> {
  const either = AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]);
  try {
    const response = await fetch(url, { headers, signal: either, redirect: "manual" });
    const challenge = response.headers.get("www-authenticate") ?? "";
    return { status: response.status, body: await response.text(), challenge };
  } catch {
    signal.throwIfAborted();
    return undefined;
  }
}

function parseContainers(body: string): readonly AdminContainer[] | undefined {
  const parsed = v.safeParse(v.pipe(v.string(), v.parseJson(), ContainersBody), body);
  return parsed.success ? (parsed.output.containers ?? []) : undefined;
}

export function byName(containers: readonly AdminContainer[]): readonly AdminContainer[] {
  return [...containers].sort((a, b) => (a.name < b.name ? -1 : Number(a.name > b.name)));
}

/** The state comes last, because scripts for the Go dewy count columns. */
export function containerTable(containers: readonly AdminContainer[]): string {
  if (containers.length === 0) return "No containers found.\n";
  const hasStates = containers.some(({ state }) => state !== undefined);
  const columns = hasStates ? 4 : 3;
  const rows = [
    ["UPSTREAM", "DEPLOY TIME", "NAME", "STATE"],
    ...containers.map(({ ip_port, deployed_at, name, state = "" }) => [
      ip_port,
      dateTime(deployed_at),
      name,
      state,
    ]),
  ].map((row) => row.slice(0, columns).map((cell) => printable(cell)));
  const width = (column: number): number =>
    Math.max(...rows.map((row) => (row[column] ?? "").length)) + GAP;
  const widths = Array.from({ length: columns - 1 }, (_, column) => width(column));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("")
      .trimEnd();
  return rows.map((row) => `${line(row)}\n`).join("");
}

/** Formats `2026-05-01T12:00:00Z` as `2026-05-01 12:00:00`, without converting the time zone. */
function dateTime(text: string): string {
  return text.slice(0, "2026-05-01T12:00:00".length).replace("T", " ");
}
