import type { Clock } from "../../core/clock.ts";
import { AbortedError, DeployError, DewyError, type Fault } from "../../core/error.ts";
import { TOLD_LINES, withLastLines } from "../../deployers/with_last_lines.ts";
import { describeExit, type Generation } from "./generation.ts";
import type { Handoff, Place, TellWhyNot } from "./handoff.ts";

/** When a generation counts as ready. */
export interface ReadinessOptions {
  /** How long it must have stayed up, in milliseconds. */
  afterMs: number;
  /** How long it may take altogether, in milliseconds. */
  timeoutMs: number;
  /** Whether a worker (it has no socket) may end with exit code 0 at any time, and has then done its work. */
  mayFinish: boolean;
  /** Runs the operator's command once: resolves with its exit code. Absent: there is none. */
  command?: (generation: Generation, signal: AbortSignal) => Promise<number | null>;
  clock: Clock;
}

const COMMAND_PAUSE_MS = 250;

/**
 * Waits until a generation can serve.
 *
 * @param generation the generation.
 * @param handoff asks it, where that is possible.
 * @param options when it counts as ready.
 * @param signal ends the waiting.
 * @throws DeployError with the reason and its last lines when it ends or takes too long; AbortedError; what keeps this
 * machine from finding out.
 */
export async function becomeReady(
  generation: Generation,
  handoff: Handoff,
  options: ReadinessOptions,
  signal: AbortSignal,
): Promise<void> {
  const over = new AbortController();
  const either = AbortSignal.any([signal, over.signal]);
  let why = "";
  let fault: Fault = "release";
  const timeout = options.clock.sleep(options.timeoutMs, either).then(() => {
    const reason = `it was not ready within ${options.timeoutMs / 1000} s${why}`;
    throw notReady(generation, reason, fault);
  });
  const mayFinish = options.mayFinish && generation.place.sockets.length === 0;
  const end = generation.exited.then((exit) => {
    if (exit.code === 0 && mayFinish) return;
    throw notReady(generation, `it ended with ${describeExit(exit)} before it was ready`);
  });
  const ready = isReady(generation, handoff, options, either, (reason, whose) => {
    why = `: ${reason}`;
    fault = whose;
  });
  try {
    await Promise.race([ready, timeout, end]);
  } catch (error) {
    if (signal.aborted) {
      if (signal.reason instanceof DewyError) throw signal.reason;
      throw new AbortedError("Stopped while a generation was getting ready");
    }
    throw error;
  } finally {
    over.abort();
    for (const loser of [timeout, end, ready]) loser.catch(() => {});
  }
}

async function isReady(
  generation: Generation,
  handoff: Handoff,
  { afterMs, clock, command }: ReadinessOptions,
  signal: AbortSignal,
  tell: TellWhyNot,
): Promise<void> {
  if (handoff.ready !== undefined) {
    await handoff.ready(generation.place, signal, tell);
  } else {
    await clock.sleep(afterMs, signal);
  }
  if (command === undefined) return;
  const succeeds = commandSucceeds(generation, command, clock, signal, tell);
  await Promise.race([generation.saidReady, succeeds]);
}

/** A shell's exit codes for a program that cannot be executed, and for one that is missing. */
const NOT_EXECUTED: readonly (number | null)[] = [126, 127];

async function commandSucceeds(
  generation: Generation,
  command: NonNullable<ReadinessOptions["command"]>,
  clock: Clock,
  signal: AbortSignal,
  tell: TellWhyNot,
): Promise<void> {
  for (;;) {
    const code = await command(generation, signal);
    if (code === 0) return;
    const end = code === null ? "was killed" : `ended with exit code ${code}`;
    tell(`the ready command ${end}`, NOT_EXECUTED.includes(code) ? "operator" : "release");
    await clock.sleep(COMMAND_PAUSE_MS, signal);
  }
}

/** Fails of its own, or of an app that took the port for itself. */
function notReady(generation: Generation, reason: string, fault: Fault = "release"): DeployError {
  const lines = generation.lastLines(TOLD_LINES);
  const why = withLastLines(reason, lines);
  const hints = generation.hints.map((hint) => `; ${hint}`).join("");
  return new DeployError("verify", `${why}${portHint(generation.place, lines)}${hints}`, { fault });
}

const PORT_TAKEN = /EADDRINUSE|address already in use|only one usage of each socket address/i;

function portHint({ sockets, env }: Place, lines: readonly string[]): string {
  if (!lines.some((line) => PORT_TAKEN.test(line))) return "";
  if (env.PORT !== undefined) {
    return `; behind the proxy it must listen on 127.0.0.1:$PORT (${env.PORT}), and on no other port`;
  }
  if (sockets.length === 0) return "; somebody else has the port that it wants";
  return (
    "; it seems to open the port itself instead of taking the socket that dewy holds (LISTEN_FDS or " +
    "SERVER_STARTER_PORT): teach it that, or use --handoff proxy or --handoff none"
  );
}

/**
 * The error for a generation that failed after it had been ready.
 *
 * @param generation the generation.
 * @param reason what happened.
 * @returns the error, with its last lines.
 */
export function brokeDown(generation: Generation, reason: string): DeployError {
  return notReady(generation, reason);
}
