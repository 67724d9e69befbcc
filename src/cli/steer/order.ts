import * as v from "valibot";
import type { CommandContext } from "../../agent/context.ts";
import { askInstance } from "../../control/client.ts";
import { chooseInstance, type FoundInstance } from "../../control/instances.ts";
import { SteerCommand } from "../../control/protocol.ts";
import { DewyError } from "../../core/error.ts";
import type { Operator } from "../../core/operator.ts";
import { printable } from "../../core/text.ts";
import type { SteerConfig } from "../flags/local.ts";
import { operatorOf } from "./operator.ts";

interface Order {
  command: SteerCommand;
  operator: Operator;
  progress(text: string): void;
}

interface Outcome {
  text: string;
  live?: string | undefined;
}

/** Gives an operator's command to an instance, and waits for the outcome. */
export async function runOrder(config: SteerConfig, context: CommandContext): Promise<number> {
  const order = orderOf(config, context);
  const deadline = context.clock.monotonic() + BUSY_MS;
  for (;;) {
    const instance = await chooseSettled(config, context, deadline);
    try {
      const give = instance.isRunning ? ask : act;
      print(await give(instance, order, context), instance, config, context);
      return 0;
    } catch (error) {
      // A dewy has started meanwhile, or another command was faster.
      const isOvertaken = !instance.isRunning && isLocked(error);
      if (!isOvertaken || context.clock.monotonic() >= deadline) throw error;
    }
  }
}

/** How long a dewy may take from its lock to its control socket, and another command for its work. */
const BUSY_MS = 5_000;
const RETRY_MS = 50;

async function chooseSettled(
  config: SteerConfig,
  { env, clock, signals }: CommandContext,
  deadline: number,
): Promise<FoundInstance> {
  for (;;) {
    const instance = await chooseInstance(config, env);
    const isBusy = instance.isRunning && instance.socket === undefined;
    if (!isBusy || clock.monotonic() >= deadline) return instance;
    await clock.sleep(RETRY_MS, signals.stop);
  }
}

function isLocked(error: unknown): boolean {
  return error instanceof DewyError && error.code === "locked";
}

function orderOf(config: SteerConfig, { env, stderr }: CommandContext): Order {
  const { command, tag, message, dryRun } = config;
  const given = {
    command,
    ...(tag === undefined ? {} : { tag }),
    ...(dryRun ? { dryRun } : {}),
  };
  return {
    command: v.parse(SteerCommand, given),
    operator: operatorOf(env, message),
    progress: (text) => stderr.write(`${printable(text)}\n`),
  };
}

async function ask(
  instance: FoundInstance,
  { command, operator, progress }: Order,
  { signals, stderr, version }: CommandContext,
): Promise<Outcome> {
  const request = { dewy: version, operator: { ...operator }, request: command };
  let isSent = false;
  const onSent = (): void => {
    isSent = true;
  };
  try {
    const options = { onProgress: progress, onSent, signal: signals.stop };
    return await askInstance(instance, request, options);
  } catch (error) {
    if (signals.stop.aborted && isSent) stderr.write(`${goesOn(instance, command)}\n`);
    throw error;
  }
}

function goesOn({ directory }: FoundInstance, { command }: SteerCommand): string {
  return printable(
    `Stopped waiting: dewy goes on with a ${command} that it has received; to look: dewy status --directory ${directory}`,
  );
}

/** Nothing runs there: the command acts on the directory, under its lock. */
async function act(
  { directory }: FoundInstance,
  { command, operator }: Order,
  { emit, env, redactor, signals }: CommandContext,
): Promise<Outcome> {
  const { steerOffline } = await import("../../agent/offline.ts");
  const redact = redactor(env);
  return steerOffline(directory, command, { operator, signal: signals.stop, redact, emit });
}

function print(
  { text, live }: Outcome,
  { name, directory, isRunning }: FoundInstance,
  { command, tag, dryRun, json }: SteerConfig,
  { stdout }: CommandContext,
): void {
  const outcome = dryRun ? "dry-run" : isRunning ? "done" : "offline";
  const done = { kind: "done", command, outcome, name, directory };
  const found = { tag: tag ?? null, live: live ?? null, message: text };
  stdout.write(json ? `${JSON.stringify({ ...done, ...found })}\n` : `${printable(text)}\n`);
}
