import type { CommandContext } from "../../agent/context.ts";
import { directoryStatus, redactStatus } from "../../agent/instance_status.ts";
import { askInstance } from "../../control/client.ts";
import {
  chooseInstance,
  type FoundInstance,
  findInstances,
  othersText,
} from "../../control/instances.ts";
import type { InstanceStatus } from "../../control/protocol.ts";
import { DewyError } from "../../core/error.ts";
import { messageOf } from "../../core/message_of.ts";
import { withTimeout } from "../../core/timeout.ts";
import type { StatusConfig } from "../flags/local.ts";
import { terminalStyle } from "../terminal.ts";
import { statusDetails, statusTable } from "./status_text.ts";

/** The exit code if there is nothing to show. */
const NOTHING_FOUND = 2;
/** How long one instance may take; the others do not wait for it. */
const TIMEOUT_MS = 3_000;

/** Prints the status of all instances, or the details of one. */
export async function runStatus(config: StatusConfig, context: CommandContext): Promise<number> {
  const { stdout } = context;
  const { instances, hidden } = await chosen(config, context);
  const statuses = await Promise.all(instances.map((one) => readStatus(one, context)));
  context.signals.stop.throwIfAborted();
  stdout.write(
    config.json
      ? `${JSON.stringify({ instances: statuses, hidden })}\n`
      : text(statuses, hidden, context),
  );
  return statuses.length === 0 ? NOTHING_FOUND : 0;
}

async function chosen(config: StatusConfig, { env, signals }: CommandContext) {
  if (config.name === undefined && config.directory === undefined) return await findInstances(env);
  return { instances: [await chooseInstance(config, env, signals.stop)], hidden: 0 };
}

/** What an instance that does not answer would say is not known; its directory says the rest. */
async function readStatus(
  instance: FoundInstance,
  context: CommandContext,
): Promise<InstanceStatus> {
  const { env, redactor } = context;
  const status = await (instance.isRunning ? ask(instance, context) : look(instance, context));
  return redactStatus(status, redactor(env));
}

async function ask(instance: FoundInstance, context: CommandContext): Promise<InstanceStatus> {
  const { version: dewy, signals } = context;
  const { name, directory } = instance;
  try {
    const request = { dewy, operator: { user: "" }, request: { command: "status" as const } };
    const reply = await askInstance(instance, request, {
      signal: signals.stop,
      connectMs: TIMEOUT_MS,
      silenceMs: TIMEOUT_MS,
    });
    if (reply.status !== undefined) return { ...reply.status, name, directory };
    throw new DewyError("dewy answered without a status", { code: "host" });
  } catch (error) {
    const status = await look(instance, context);
    return { ...status, phase: { name: "unknown" }, problem: messageOf(error) };
  }
}

async function look(
  { name, mode, directory, process, wasKilled }: FoundInstance,
  { clock }: CommandContext,
): Promise<InstanceStatus> {
  const known = { name, mode, directory };
  try {
    const timeout = { clock, ms: TIMEOUT_MS, what: "answer of the file system" };
    const status = await withTimeout(directoryStatus(known), timeout);
    return { ...status, process, problem: wasKilled ? killed(mode) : undefined };
  } catch (error) {
    const nothing = { waiting: [], bad: [], skipped: [], phase: { name: "unknown" } };
    return { ...known, ...nothing, process, problem: messageOf(error) };
  }
}

function killed(mode: FoundInstance["mode"]): string {
  const app = mode === "assets" ? "" : "; its app may still run";
  return `dewy was killed or has crashed${app}`;
}

function text(
  statuses: readonly InstanceStatus[],
  hidden: number,
  { stdout, env, clock }: CommandContext,
): string {
  const style = terminalStyle(stdout, env);
  const [only] = statuses;
  const others = hidden === 0 ? "" : `${othersText(hidden)}; sudo shows them.\n`;
  if (only === undefined)
    return `No instances found; dewy status --directory PATH shows a stopped one.\n${others}`;
  const isOne = statuses.length === 1;
  const found = isOne
    ? statusDetails(only, clock.now(), style)
    : statusTable(statuses, clock.now(), style);
  return found + (others === "" ? "" : `\n${others}`);
}
