import { tmpdir } from "node:os";
import { join } from "node:path";
import * as v from "valibot";
import type { CommandContext } from "../../agent/context.ts";
import { AdminContainer, adminPorts } from "../../control/admin.ts";
import { DewyError, HostError, RemoteError } from "../../core/error.ts";
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
  const answer = await listFromAdmin(config, context);
  const found = typeof answer === "string" ? await listFromEngine(config, answer, context) : answer;
  const containers = byName(found);
  context.stdout.write(
    config.json ? `${JSON.stringify({ containers })}\n` : containerTable(containers),
  );
  return 0;
}

/**
 * Queries all admin ports at once. Returns the reason if no dewy answers, or if one requires a token: any program could
 * listen on these ports and learn it.
 */
async function listFromAdmin(
  { adminPort }: ContainerListConfig,
  { env, signals }: CommandContext,
): Promise<readonly AdminContainer[] | string> {
  // An HTTP proxy would connect to its own loopback.
  const fetch = await createHostFetch({ env: { ...env, no_proxy: "127.0.0.1" } });
  const ports = adminPorts(adminPort);
  const answers = await Promise.all(ports.map((port) => queryAdmin(port, fetch, signals.stop)));
  if (answers.includes("protected")) return "the admin API requires a token";
  const lists = answers.filter((answer) => Array.isArray(answer));
  if (lists.length > 0) return lists.flat();
  return `no running dewy instances found (tried ports ${ports[0]}-${ports.at(-1)})`;
}

async function listFromEngine(
  { engine: name }: ContainerListConfig,
  reason: string,
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
    throw new HostError(`${reason}, and ${name} does not answer: ${cause.message}`, { cause });
  }
}

/** Returns `undefined` if no dewy answers on this port, and throws if its admin API fails. */
async function queryAdmin(
  port: number,
  fetch: CommandContext["fetch"],
  signal: AbortSignal,
): Promise<readonly AdminContainer[] | "protected" | undefined> {
  const url = `http://127.0.0.1:${port}/api/containers`;
  const answer = await get(url, fetch, signal);
  if (answer === undefined) return undefined;
  const { status, body, challenge } = answer;
  if (status === 200) return parseContainers(body);
  if (status === 401 && challenge.includes(REALM)) return "protected";
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
): Promise<{ status: number; body: string; challenge: string } | undefined> {
  const either = AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]);
  try {
    const response = await fetch(url, { signal: either, redirect: "manual" });
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
