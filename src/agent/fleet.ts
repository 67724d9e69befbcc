import { hostname } from "node:os";
import type { CacheStore } from "../cache/types.ts";
import { ConfigError, NotFoundError } from "../core/error.ts";
import type { EventSink } from "../core/event.ts";
import { messageOf } from "../core/message_of.ts";
import { FLEET_USER } from "../core/operator.ts";
import { withDeadline } from "../core/timeout.ts";
import { redactUrl } from "../core/url.ts";
import { compareTags } from "../deploy/decisions.ts";
import type { DeployContext, FleetGate } from "../deploy/deployer.ts";
import { findRelease } from "../deploy/state.ts";
import { type CommandContext, isolated } from "./context.ts";
import type { Steering } from "./steering.ts";
import type { Agent } from "./types.ts";

type Steer = Pick<Steering, "steer">;

/** The part of this host in its fleet. */
export interface FleetHost {
  gate: FleetGate;
  /** Receives all events, also the repeated ones; an event may come twice. */
  sink: EventSink;
  /** Takes part until the signal is aborted. It never rejects. */
  run(steering: Steer, signal: AbortSignal): Promise<void>;
}

const RETRY_MS = 15_000;

/**
 * Opens the host's part in the fleet of `--fleet`; `undefined` without. A store that is down does not keep dewy from
 * starting what is deployed.
 *
 * @throws {ConfigError} If the store does not obey conditions.
 */
export async function openFleet(
  agent: Agent,
  context: DeployContext,
  command: CommandContext,
): Promise<FleetHost | undefined> {
  const { config, cache: store } = agent;
  if (config.fleet === undefined || store === undefined) return undefined;
  const { clock, emit, calver = "" } = context;
  const { name: fleet, host = hostname(), rollBackOnHalt, check: _, ...rollout } = config.fleet;
  const obeysConditions = await checkedStore(store, fleet, context, command.signals.stop);
  let steering: Steer | undefined;
  const { Coordinator } = await import("../fleet/coordinator.ts");
  const coordinator = new Coordinator({
    ...rollout,
    store,
    fleet,
    host,
    instance: crypto.randomUUID(),
    registry: redactUrl(config.registry),
    compare: (one, other) => compareTags(one, other, calver),
    clock,
    emit,
    running: () => liveTag(context),
    check: await openCheck(agent, command),
    rollBack: rollBackOnHalt ? async (...back) => steering && goBack(...back, steering) : undefined,
  });
  const received = new WeakSet<object>();
  return {
    gate: {
      async admit(version, signal) {
        const reason = REFUSALS[`${await obeysConditions(signal)}`];
        signal.throwIfAborted();
        return reason === undefined ? coordinator.admit(version, signal) : { kind: "wait", reason };
      },
    },
    sink(event) {
      if (received.has(event)) return;
      received.add(event);
      coordinator.sink(event);
    },
    async run(given, signal) {
      steering = given;
      while (!signal.aborted) {
        if (await obeysConditions(signal)) await coordinator.run(signal);
        else await clock.sleep(RETRY_MS, signal).catch(() => {});
      }
    },
  };
}

/** Why a host takes nothing new, by whether its store obeys conditions. */
const REFUSALS: Readonly<Record<string, string | undefined>> = {
  false: "the cache does not obey conditional writes, so that the hosts of the fleet cannot agree",
  undefined: "the store of the fleet cannot be used now; what runs is kept",
};

/** Whether the store obeys conditions; `undefined` while it cannot say. */
type ObeysConditions = (signal: AbortSignal) => Promise<boolean | undefined>;

const CHECK_MS = 10_000;

async function checkedStore(
  store: CacheStore,
  fleet: string,
  { clock, emit }: DeployContext,
  stop: AbortSignal,
): Promise<ObeysConditions> {
  let obeys: boolean | undefined;
  let error = "";
  const check: ObeysConditions = async (signal) => {
    obeys ??= await withDeadline(clock, CHECK_MS, signal, (limited) =>
      store.isAtomic(limited),
    ).catch((cause) => {
      error = messageOf(cause);
      return undefined;
    });
    return obeys;
  };
  if ((await check(stop)) === false) {
    throw new ConfigError(
      `Cannot use --fleet with --cache "${store.name}": it does not obey conditional writes, so that hosts could not agree; use an S3 or Google Cloud Storage bucket`,
    );
  }
  if (obeys === undefined && !stop.aborted) {
    const message =
      "Cannot use the store of the fleet; what runs is kept, and nothing new is taken";
    emit({
      type: "warning",
      important: true,
      message,
      fields: { fleet, store: store.name, error },
    });
  }
  return check;
}

async function liveTag({ store, deployer }: DeployContext): Promise<string | undefined> {
  return findRelease(await store.load(), await deployer.live())?.tag;
}

async function openCheck({ config, root }: Agent, command: CommandContext) {
  const { check, name: fleet = "" } = config.fleet ?? {};
  if (check === undefined) return undefined;
  const { openRolloutCheck } = await import("../fleet/check/open.ts");
  const isProgram = check.kind === "command" && config.isolateEnv === true;
  const env = isProgram ? isolated(command.env, command) : command.env;
  const redact = command.redactor(command.env);
  return openRolloutCheck(check, { ...command, fleet, cwd: root, env, redact });
}

async function goBack(to: string, reason: string, steering: Steer): Promise<void> {
  const operator = { user: FLEET_USER, message: reason };
  const order = (command: "rollback" | "deploy") =>
    steering.steer({ command, tag: to }, operator, () => {});
  await order("rollback").catch((error) => {
    // It is not on this machine any more.
    if (error instanceof NotFoundError) return order("deploy");
    throw error;
  });
}
