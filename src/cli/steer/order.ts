import * as v from "valibot";
import type { CommandContext } from "../../agent/context.ts";
import { SteerCommand } from "../../control/protocol.ts";
import type { Operator } from "../../core/operator.ts";
import { printable } from "../../core/text.ts";
import type { SteerConfig } from "../flags/local.ts";
import { operatorOf } from "./operator.ts";

/** What a command needs to know about an instance. */
export interface Target {
  readonly name: string;
  readonly directory: string;
  readonly isRunning: boolean;
}

export interface Answer {
  text: string;
  live?: string | undefined;
}

/** An operator's command on its way to an instance. */
export interface Order {
  command: SteerCommand;
  operator: Operator;
  progress(text: string): void;
  signal: AbortSignal;
}

/** How a command reaches an instance. */
export interface Reach<T extends Target = Target> {
  choose(by: Pick<SteerConfig, "name" | "directory">): Promise<T>;
  /** Asks the dewy that runs there. */
  ask(target: T, order: Order): Promise<Answer>;
  /** Acts on the directory, under its lock. */
  act(target: T, order: Order): Promise<Answer>;
}

/** Gives an operator's command to an instance, and waits for the outcome. */
export async function runOrder<T extends Target>(
  config: SteerConfig,
  context: CommandContext,
  reach: Reach<T>,
): Promise<number> {
  const target = await reach.choose(config);
  const order = orderOf(config, context);
  const answer = target.isRunning
    ? await askAndWait(target, order, reach, context)
    : await reach.act(target, order);
  print(answer, target, config, context);
  return 0;
}

function orderOf(config: SteerConfig, { env, signals, stderr }: CommandContext): Order {
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
    signal: signals.stop,
  };
}

async function askAndWait<T extends Target>(
  target: T,
  order: Order,
  reach: Reach<T>,
  { signals, stderr }: CommandContext,
): Promise<Answer> {
  try {
    return await reach.ask(target, order);
  } catch (error) {
    // Only this command ends: dewy has the order.
    if (signals.stop.aborted) stderr.write(`${goesOn(target, order.command)}\n`);
    throw error;
  }
}

function goesOn({ directory }: Target, { command }: SteerCommand): string {
  return printable(
    `Stopped waiting: dewy goes on with a ${command} that it has received; to look: dewy status --directory ${directory}`,
  );
}

function print(
  { text, live }: Answer,
  { name, directory, isRunning }: Target,
  { command, tag, dryRun, json }: SteerConfig,
  { stdout }: CommandContext,
): void {
  const outcome = dryRun ? "dry-run" : isRunning ? "done" : "offline";
  const done = { kind: "done", command, outcome, name, directory };
  const found = { tag: tag ?? null, live: live ?? null, message: text };
  stdout.write(json ? `${JSON.stringify({ ...done, ...found })}\n` : `${printable(text)}\n`);
}
