import type { Clock } from "../../core/clock.ts";
import { AbortedError, DeployError, DewyError, type Fault } from "../../core/error.ts";
import { TOLD_LINES, withLastLines } from "../../deployers/with_last_lines.ts";
import { describeExit, type Generation } from "./generation.ts";
import type { Endpoint, Handoff, ReportNotReady } from "./handoff.ts";

export interface ReadinessOptions {
  /** The uptime after which a generation counts as ready if it cannot be checked. */
  afterMs: number;
  timeoutMs: number;
  /** Whether a worker (without a socket) that exits with code 0 has done its work. */
  mayFinish: boolean;
  /** Runs `--ready-command` once and returns its exit code. */
  command?: (generation: Generation, signal: AbortSignal) => Promise<number | null>;
  clock: Clock;
}

const COMMAND_PAUSE_MS = 250;

/** Waits until a generation can serve. Rejects if it exits, or the timeout expires. */
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
    const reason = `the app was not ready within ${options.timeoutMs / 1000} s${why}`;
    throw generationError(generation, reason, fault);
  });
  const mayFinish = options.mayFinish && generation.endpoint.sockets.length === 0;
  const end = generation.exited.then((exit) => {
    if (exit.code === 0 && mayFinish) return;
    throw generationError(generation, `the app ${describeExit(exit)} before it was ready`);
  });
  const ready = isReady(generation, handoff, options, either, (reason, origin) => {
    why = `: ${reason}`;
    fault = origin;
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
  report: ReportNotReady,
): Promise<void> {
  if (handoff.ready !== undefined) {
    await handoff.ready(generation.endpoint, signal, report);
  } else {
    await clock.sleep(afterMs, signal);
  }
  if (command === undefined) return;
  const succeeds = commandSucceeds(() => command(generation, signal), clock, signal, report);
  await Promise.race([generation.reportedReady, succeeds]);
}

/** A shell's exit codes for a program that cannot be executed or does not exist. */
const NOT_EXECUTED: readonly (number | null)[] = [126, 127];

async function commandSucceeds(
  command: () => Promise<number | null>,
  clock: Clock,
  signal: AbortSignal,
  report: ReportNotReady,
): Promise<void> {
  for (;;) {
    const code = await command();
    if (code === 0) return;
    const end = code === null ? "was killed" : `exited with exit code ${code}`;
    report(`the ready command ${end}`, NOT_EXECUTED.includes(code) ? "operator" : "release");
    await clock.sleep(COMMAND_PAUSE_MS, signal);
  }
}

export function generationError(
  generation: Generation,
  reason: string,
  fault: Fault = "release",
): DeployError {
  const lines = generation.lastLines(TOLD_LINES);
  const why = withLastLines(reason, lines);
  const hints = generation.hints.map((hint) => `; ${hint}`).join("");
  const message = `${why}${portHint(generation.endpoint, lines)}${hints}`;
  return new DeployError("verify", message, { fault });
}

const PORT_TAKEN = /EADDRINUSE|address already in use|only one usage of each socket address/i;

function portHint({ sockets, env }: Endpoint, lines: readonly string[]): string {
  if (!lines.some((line) => PORT_TAKEN.test(line))) return "";
  if (env.PORT !== undefined) {
    return `; behind the proxy it must listen on 127.0.0.1:$PORT (${env.PORT}), and on no other port`;
  }
  if (sockets.length === 0) return "; another process has the port that it wants";
  return (
    "; it seems to open the port itself instead of using the socket that dewy holds (LISTEN_FDS or " +
    "SERVER_STARTER_PORT): change the app, or use --handoff proxy or --handoff none"
  );
}
