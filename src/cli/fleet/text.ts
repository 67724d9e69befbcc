import { ago } from "../../core/duration.ts";
import { printable, shorten } from "../../core/text.ts";
import { failuresOf, waveHosts } from "../../fleet/rollout.ts";
import type { Rollout } from "../../fleet/types.ts";
import { headedTable, textTable } from "../commands/text_table.ts";
import type { TerminalStyle } from "../terminal.ts";
import { type HostState, type HostView, waveText } from "./view.ts";

const MAX_NOTE = 120;

export interface FleetStatus {
  fleet: string;
  rollout: Rollout | undefined;
  hosts: readonly HostView[];
  /** Milliseconds since the epoch. */
  now: number;
}

export function fleetText(status: FleetStatus, style: TerminalStyle): string {
  const { fleet, rollout, hosts } = status;
  const title = style.bold(printable(`fleet ${fleet}`));
  const rows = rollout === undefined ? [["rollout", "none yet"]] : rolloutRows(rollout);
  const details = textTable([...rows, ["hosts", countText(hosts)]], "  ");
  return `${title}\n${details}\n${hostTable(status, style)}`;
}

function rolloutRows(rollout: Rollout): string[][] {
  const { tag, state, waves, hosts, wave, reason, previous, next } = rollout;
  const sizes = waves.map((size) => waveText(size)).join(", ");
  const at = `${wave + 1} of ${waves.length} (${sizes}): ${waveHosts(rollout)} of ${hosts.length} hosts`;
  return [
    ["rollout", `${tag}, ${state}${reason === undefined ? "" : `: ${reason}`}`],
    ["wave", at],
    ["failures", failuresText(rollout)],
    ["previous", previous ?? ""],
    ["next", next ?? ""],
  ].filter(([, value]) => value !== "");
}

function failuresText(rollout: Rollout): string {
  const all = new Set([...rollout.failed.map(({ host }) => host), ...rollout.lost]).size;
  const counted = failuresOf(rollout).length;
  const note = all === counted ? "" : `, ${all - counted} more forgiven`;
  return `${counted}, at most ${rollout.maxFailures}${note}`;
}

/** `3 done, 1 baking, 6 waiting`. */
function countText(hosts: readonly HostView[]): string {
  const counts = STATES.map((state) => {
    const count = hosts.filter((host) => host.state === state).length;
    return count === 0 ? "" : `${count} ${state}`;
  }).filter((text) => text !== "");
  return counts.join(", ") || "none";
}

const STATES: readonly HostState[] = [
  "done",
  "baking",
  "deploying",
  "waiting",
  "held",
  "failed",
  "lost",
  "rolled-back",
  "gone",
  "idle",
];

function hostTable({ hosts, now, rollout }: FleetStatus, style: TerminalStyle): string {
  const rows = hosts.map(({ host, tag, wave, state, silentMs, reason }) => [
    host,
    tag ?? "none",
    wave === undefined ? "-" : String(wave),
    state,
    silentMs === undefined ? "never" : ago(isoAt(now - silentMs), now),
    noteOf(reason, rollout),
  ]);
  const header = ["HOST", "VERSION", "WAVE", "STATE", "LAST SEEN", "NOTES"];
  return headedTable(header, rows, style, (line, row) => paint(hosts[row]?.state, line, style));
}

/** The version is in the lines above. */
function noteOf(reason = "", rollout?: Rollout): string {
  return shorten(reason.replace(`Cannot deploy ${rollout?.tag}: `, ""), MAX_NOTE);
}

function isoAt(ms: number): string {
  return new Date(ms).toISOString();
}

function paint(state: HostState | undefined, line: string, style: TerminalStyle): string {
  if (state === "failed" || state === "lost") return style.red(line);
  if (state === "gone" || state === "held") return style.dim(line);
  return line;
}

/** The JSON of `dewy fleet status`; unknown values are `null`. */
export function fleetJson({ fleet, rollout, hosts, now }: FleetStatus) {
  return {
    fleet,
    rollout: rollout === undefined ? null : rolloutJson(rollout),
    hosts: hosts.map(({ host, tag, wave, state, reason, silentMs }) => ({
      host,
      tag: tag ?? null,
      wave: wave ?? null,
      state,
      reason: reason ?? null,
      seenAt: silentMs === undefined ? null : isoAt(now - silentMs),
    })),
  };
}

function rolloutJson(rollout: Rollout) {
  const { tag, state, wave, waves, hosts, failed, lost, forgiven, maxFailures } = rollout;
  return {
    tag,
    state,
    reason: rollout.reason ?? null,
    wave: wave + 1,
    waves: waves.map((size) => waveText(size)),
    hosts: hosts.length,
    failed: failed.map(({ host, reason }) => ({ host, reason })),
    lost,
    forgiven,
    maxFailures,
    previous: rollout.previous ?? null,
    next: rollout.next ?? null,
    registry: rollout.registry,
  };
}
