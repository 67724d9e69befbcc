import * as v from "valibot";
import type { CommandContext } from "../../agent/context.ts";
import { askInstance } from "../../control/client.ts";
import type { ControlHandler } from "../../control/conversations.ts";
import { chooseInstance, type FoundInstance } from "../../control/instances.ts";
import { SteerCommand } from "../../control/protocol.ts";
import { DewyError } from "../../core/error.ts";
import type { Operator } from "../../core/operator.ts";
import { printable } from "../../core/text.ts";
import { operatorOf } from "../commands/operator.ts";
import type { SteerConfig } from "../flags/local.ts";

type Outcome = Awaited<ReturnType<ControlHandler["steer"]>>;

interface Order {
  command: SteerCommand;
  operator: Operator;
  progress(text: string): void;
}

/** Gives an operator's command to an instance, and waits for the outcome. */
export async function runOrder(config: SteerConfig, context: CommandContext): Promise<number> {
  const order = orderOf(config, context);
  const deadline = context.clock.monotonic() + BUSY_MS;
  for (;;) {
    const instance = await chooseInstance(config, context.env, context.signals.stop);
    try {
      const give = instance.isRunning ? ask : act;
      print(await give(instance, order, context), instance, config, context);
      return 0;
    } catch (error) {
      // A dewy has started meanwhile, or another command was faster.
      const isOvertaken =
        !instance.isRunning && error instanceof DewyError && error.code === "locked";
      if (!isOvertaken || context.clock.monotonic() >= deadline) throw error;
    }
  }
}

/** How long other commands may take for their work on the directory. */
const BUSY_MS = 5_000;

function orderOf(config: SteerConfig, { env, stderr }: CommandContext): Order {
  const { command, tag, message, dryRun } = config;
  return {
    command: v.parse(SteerCommand, { command, tag, dryRun: dryRun || undefined }),
    operator: operatorOf(env, message),
    progress: (text) => stderr.write(`${printable(text)}\n`),
  };
}

async function ask(
  instance: FoundInstance,
  { command: request, operator, progress: onProgress }: Order,
  { signals, stderr, version: dewy }: CommandContext,
): Promise<Outcome> {
  let isSent = false;
  const onSent = (): void => {
    isSent = true;
  };
  const { stop: signal } = signals;
  try {
    const options = { onProgress, onSent, signal };
    return await askInstance(instance, { dewy, operator, request }, options);
  } catch (error) {
    const text = `Stopped waiting: dewy goes on with a ${request.command} that it has received; to look: dewy status --directory ${instance.directory}`;
    if (signal.aborted && isSent) stderr.write(`${printable(text)}\n`);
    throw error;
  }
}

/** Nothing runs there: the command acts on the directory, under its lock. */
async function act(
  { directory }: FoundInstance,
  { command, operator }: Order,
  { emit, env, redactor, signals }: CommandContext,
): Promise<Outcome> {
  const { steerOffline } = await import("../../agent/offline.ts");
  const redact = redactor(env);
  return await steerOffline(directory, command, { operator, signal: signals.stop, redact, emit });
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
