import type { CommandContext } from "../../agent/context.ts";
import { openCache } from "../../cache/open.ts";
import { ConfigError, ConflictError, NotFoundError } from "../../core/error.ts";
import { operatorText } from "../../core/operator.ts";
import { printable } from "../../core/text.ts";
import {
  type FleetStore,
  listSilence,
  operatorWriter,
  readMember,
  readRollout,
  rolloutKey,
  rolloutOf,
  swapRollout,
} from "../../fleet/records.ts";
import { abortRollout, resumeRollout, stateText } from "../../fleet/rollout.ts";
import type { Rollout } from "../../fleet/types.ts";
import { operatorOf } from "../commands/operator.ts";
import type { FleetConfig } from "../flags/fleet_command.ts";
import { terminalStyle } from "../terminal.ts";
import { fleetJson, fleetText } from "./text.ts";
import { hostViews, type SeenMember } from "./view.ts";

/** The exit code if the rollout is halted. */
const HALTED = 4;
/** Before the first rollout, and for those of older versions of dewy. */
const MEMBER_TTL_MS = 10 * 60_000;
/** How many records are read at once. */
const READS = 16;

/** Acts on a fleet through its cache; no host is asked. */
export async function runFleet(config: FleetConfig, context: CommandContext): Promise<number> {
  const caches = context.caches ?? (await import("../../cache/table.ts")).caches;
  const { store } = await openCache(config.cache, caches, context.io);
  const at = { store, fleet: config.fleet };
  if (config.command === "fleet status") return await showFleet(config, at, context);
  return await changeRollout(config, at, context);
}

async function showFleet(
  { memberTtlMs: given, json }: FleetConfig,
  at: FleetStore,
  { clock, env, signals, stdout }: CommandContext,
): Promise<number> {
  const members = await readMembers(at, signals.stop);
  const rollout = rolloutOf(await readRollout(at, signals.stop), at);
  const memberTtlMs = given ?? rollout?.memberTtlMs ?? MEMBER_TTL_MS;
  if (rollout === undefined && members.length === 0) throw noFleet(at);
  const hosts = hostViews({ rollout, members, memberTtlMs });
  const status = { fleet: at.fleet, rollout, hosts, now: clock.now() };
  const style = terminalStyle(stdout, env);
  stdout.write(json ? `${JSON.stringify(fleetJson(status))}\n` : fleetText(status, style));
  return rollout?.state === "halted" ? HALTED : 0;
}

/** Without records that have gone meanwhile, or are not those of a member. */
async function readMembers(at: FleetStore, signal: AbortSignal): Promise<SeenMember[]> {
  const listed = [...(await listSilence(at, signal)).silentMs];
  const members: SeenMember[] = [];
  const read = async (): Promise<void> => {
    for (let next = listed.shift(); next !== undefined; next = listed.shift()) {
      const [host, silentMs] = next;
      const found = await readMember(at, host, signal);
      if (found?.record === undefined) continue;
      members.push({ member: found.record, silentMs: found.ageMs ?? silentMs });
    }
  };
  await Promise.all(Array.from({ length: READS }, read));
  return members;
}

async function changeRollout(
  { command, message, json }: FleetConfig,
  at: FleetStore,
  { clock, env, signals, stdout }: CommandContext,
): Promise<number> {
  const operator = operatorOf(env, message);
  const { stop: signal } = signals;
  const change = command === "fleet abort" ? abort : resume;
  const print = (text: string, rollout: Rollout | undefined): number => {
    const { tag = null, state = null } = rollout ?? {};
    const done = { kind: "done", command, fleet: at.fleet, tag, state, message: text };
    stdout.write(json ? `${JSON.stringify(done)}\n` : `${printable(text)}\n`);
    return 0;
  };

  const read = await readRollout(at, signal);
  if (command === "fleet abort" && read !== undefined && read.record === undefined) {
    await at.store.remove(rolloutKey(at.fleet), signal);
    return print("removed a record that was not a rollout", undefined);
  }
  let last: Rollout | undefined;
  const swapped = await swapRollout(
    at,
    (current) => {
      last = current;
      if (current === undefined) throw noFleet(at);
      return change(current, operatorText(operator));
    },
    { writer: operatorWriter(command, operator.user), clock, random: Math.random, signal },
  );
  const now = swapped?.after ?? last;
  const isDone = now?.state === (command === "fleet abort" ? "aborted" : "running");
  if (now !== undefined && isDone) return print(stateText(now), now);
  throw new ConflictError(
    `Cannot change the rollout of the fleet "${at.fleet}": hosts keep changing it; try again`,
  );
}

function resume(rollout: Rollout, operator: string): Rollout {
  const { tag, state } = rollout;
  if (state === "running") return rollout;
  if (state !== "halted") {
    throw new ConfigError(
      `Cannot resume the rollout of ${tag}: it is ${state}; only a halted one can go on`,
    );
  }
  return { ...resumeRollout(rollout), reason: `resumed by ${operator}` };
}

function abort(rollout: Rollout, operator: string): Rollout {
  if (rollout.state !== "done") return abortRollout(rollout, `by ${operator}`);
  throw new ConfigError(
    `Cannot abort the rollout of ${rollout.tag}: it is done; publish another version, or use dewy rollback on each host`,
  );
}

function noFleet({ store, fleet }: FleetStore): NotFoundError {
  return new NotFoundError(
    `Cannot find a rollout of the fleet "${fleet}" in ${store.name}; check --fleet and --cache, and that a host runs with them`,
  );
}
