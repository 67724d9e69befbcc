import { commandText, type SteerCommand } from "../control/protocol.ts";
import { systemClock } from "../core/clock.ts";
import { HostError } from "../core/error.ts";
import { type EventSink, fanOut } from "../core/event.ts";
import type { Operator } from "../core/operator.ts";
import type { Redact } from "../core/secret.ts";
import {
  commitProven,
  commitRollback,
  operatorOf,
  orderBy,
  withOrderDone,
} from "../deploy/order_state.ts";
import { releaseOnDisk } from "../deploy/orders.ts";
import {
  checkPin,
  isProven,
  leftByDeploy,
  planRollback,
  rollbackChoice,
} from "../deploy/rollback_plan.ts";
import {
  type DeployedRelease,
  type DeployOrder,
  findRelease,
  type RollbackOrder,
  type StateStore,
} from "../deploy/state.ts";
import { Switches } from "../deploy/switches.ts";
import { openReleaseDirectory, type ReleaseDirectory } from "../deployers/release_directory.ts";
import { lockPath, statePath } from "../host/files/own_paths.ts";
import { stateFile } from "../host/files/state_file.ts";
import { acquireLock } from "../host/process/lock.ts";
import { Journal } from "../journal/journal.ts";
import { decide, isDecision } from "./decide.ts";
import type { Answer } from "./steering.ts";

export interface OfflineOptions {
  operator: Operator;
  signal: AbortSignal;
  redact: Redact;
  emit: EventSink;
}

/** A directory in which no dewy runs; this process holds its lock. */
interface Idle {
  deployer: ReleaseDirectory;
  store: StateStore;
  switches: Switches;
  clock: typeof systemClock;
  operator: Operator;
  emit: EventSink;
}

const LATER = "dewy does not run here, and deploys it at its next start";
const STARTS_LATER = "dewy does not run here, and uses it from its next start";

/**
 * Carries out a command in a directory in which no dewy runs, under its lock. Tags that are not SemVer are compared by the
 * time at which they were staged, because the options of the registry are unknown.
 */
export async function steerOffline(
  directory: string,
  command: SteerCommand,
  options: OfflineOptions,
): Promise<Answer> {
  const { operator, signal, redact } = options;
  const deployer = await openReleaseDirectory(directory);
  const { root } = deployer;
  if (command.command === "poll" || command.command === "restart") {
    throw new HostError(`Cannot ${command.command}: dewy does not run in ${root}; start it`, {
      retryable: false,
    });
  }
  const lock = await acquireLock(lockPath(root), command.command, { emit: options.emit, signal });
  const clock = systemClock;
  const journal = new Journal({ root, emit: options.emit, clock, redact });
  try {
    const emit = fanOut([options.emit, journal.sink]);
    const store = stateFile(statePath(root), emit);
    const idle = { deployer, store, switches: new Switches(), clock, operator, emit };
    const isDry = "dryRun" in command && command.dryRun === true;
    if (!isDry) emit({ type: "ordered", command: commandText(command), operator });
    const text = await carryOut(command, idle);
    return { text, live: await liveTag(idle) };
  } finally {
    await journal.close();
    await lock.release();
  }
}

async function carryOut(
  command: Exclude<SteerCommand, { command: "poll" | "restart" }>,
  idle: Idle,
): Promise<string> {
  if (command.command === "rollback") return rollBack(command, idle);
  if (command.command === "deploy") return deploy(command, idle);
  if (!isDecision(command)) throw new HostError("Cannot carry out an unknown command");
  const { store, clock, operator } = idle;
  const live = await liveTag(idle);
  const order: DeployOrder | undefined =
    command.command === "pin" && command.tag !== live
      ? { ...orderBy(operator, idle), kind: "deploy", tag: command.tag }
      : undefined;
  let text = "";
  await store.update((state) => {
    const decided = decide(command, state, { operator, now: clock.now(), calver: "", live });
    text = decided.text;
    return order === undefined ? decided.state : { ...decided.state, order };
  });
  if (order !== undefined) return `${text}; ${await carryOutDeploy(order, idle)}`;
  return command.command === "pin" ? `${text}, which is live` : text;
}

async function liveTag({ deployer, store }: Idle): Promise<string | undefined> {
  return findRelease(await store.load(), await deployer.live())?.tag;
}

async function rollBack(
  { tag, dryRun }: Extract<SteerCommand, { command: "rollback" }>,
  idle: Idle,
): Promise<string> {
  const { deployer, store, operator, emit } = idle;
  const plan = await planRollback(tag, idle);
  if (plan.kind === "already") return `${plan.tag} is live already`;
  const { target, left } = plan;
  const from = left === undefined ? "" : ` from ${left}`;
  if (dryRun === true) return `would roll back${from} to ${target.tag}`;
  const order: RollbackOrder = {
    ...orderBy(operator, idle),
    kind: "rollback",
    tag: target.tag,
    directory: target.directory,
    left,
  };
  // If this process is killed from here on, the next start finishes the order.
  await store.update((state) => ({ ...state, order }));
  await deployer.point(target.directory);
  const next = await rollbackChoice(await store.load(), target.tag, deployer.has, "");
  await store.update((state) => commitRollback(state, order, next?.directory, idle));
  const reason = operator.message ?? `asked for by ${operator.user}`;
  emit({
    type: "rolled-back",
    tag: left ?? "",
    to: target.tag,
    reason,
    operator: operatorOf(order),
  });
  const note = plan.note === undefined ? "" : `; ${plan.note}`;
  return `rolled back${from} to ${target.tag}; ${STARTS_LATER}${note}`;
}

async function deploy(
  { tag, dryRun }: Extract<SteerCommand, { command: "deploy" }>,
  idle: Idle,
): Promise<string> {
  checkPin(await idle.store.load(), tag);
  if (dryRun === true) {
    return (await readyRelease(tag, idle)) === undefined
      ? `would deploy ${tag} at the next start`
      : `would make ${tag} live from disk`;
  }
  const left = await leftByDeploy(tag, idle);
  return carryOutDeploy({ ...orderBy(idle.operator, idle), kind: "deploy", tag, left }, idle);
}

/** A release that has passed its bake goes live at once; any other version is left to the next start. */
async function carryOutDeploy(order: DeployOrder, idle: Idle): Promise<string> {
  const { deployer, store, clock, emit } = idle;
  const { tag } = order;
  const startedAt = clock.now();
  const previousTag = await liveTag(idle);
  // If this process is killed from here on, the next start finishes the order.
  await store.update((state) => ({ ...state, order }));
  const ready = await readyRelease(tag, idle);
  if (ready === undefined) return `the deploy of ${tag} is on record; ${LATER}`;
  const { directory } = ready;
  const live = await deployer.live();
  if (directory === live) {
    await store.update((state) => withOrderDone(state, order, idle));
    return `${tag} is live already`;
  }
  await deployer.point(directory);
  await store.update((state) => commitProven(state, { directory, live, order }, idle));
  emit({
    type: "deployed",
    command: "deploy",
    tag,
    previousTag,
    directory: deployer.path(directory),
    durationMs: clock.now() - startedAt,
    operator: operatorOf(order),
  });
  return `${tag} is live; ${STARTS_LATER}`;
}

/** A version whose bake was interrupted has it at the next start. */
async function readyRelease(tag: string, idle: Idle): Promise<DeployedRelease | undefined> {
  const { store, deployer } = idle;
  const state = await store.load();
  const found = await releaseOnDisk(tag, idle);
  if (found === undefined || state.switching?.to === found.directory) return undefined;
  const isLive = found.directory === (await deployer.live());
  return isLive || isProven(found, state) ? found : undefined;
}
