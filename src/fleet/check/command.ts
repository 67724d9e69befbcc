import type { Environment } from "../../core/environment.ts";
import { ConfigError, HostError } from "../../core/error.ts";
import type { Redact } from "../../core/secret.ts";
import { outputForPeople, shorten } from "../../core/text.ts";
import { type RunResult, run } from "../../host/process/run.ts";
import type { CheckedWave, RolloutCheck } from "./types.ts";

export interface CommandCheckOptions {
  /** A shell command. */
  command: string;
  fleet: string;
  cwd: string;
  env: Environment;
  redact: Redact;
  /** Defaults to 60,000. */
  timeoutMs?: number | undefined;
}

const TIMEOUT_MS = 60_000;
const MAX_REASON = 300;
/** Linux limits a variable to 128 KiB. Standard input has all hosts, one per line. */
const MAX_HOSTS_TEXT = 100_000;

/** A wave is healthy if the command exits with 0. */
export function commandCheck(options: CommandCheckOptions): RolloutCheck {
  const { command, fleet, cwd, env, redact, timeoutMs = TIMEOUT_MS } = options;
  return async (wave, signal) => {
    const result = await run({
      command: ["/bin/sh", "-c", command],
      cwd,
      env: { ...env, ...variablesOf(fleet, wave) },
      input: wave.hosts.map((host) => `${host}\n`).join(""),
      timeoutMs,
      signal,
    });
    if (result.exitCode === 0) return { ok: true };
    const { exitCode } = result;
    const detail = lastLine(result, redact);
    if (result.timedOut) throw failed(`the command took longer than ${timeoutMs / 1000} s`, detail);
    if (exitCode === null) throw failed("the command was ended by a signal", detail);
    // https://pubs.opengroup.org/onlinepubs/9799919799/utilities/V3_chap02.html#tag_19_08_02: not found, not executable.
    if (exitCode === 126 || exitCode === 127) {
      throw new ConfigError(`Cannot run --rollout-check${detail || `: exit code ${exitCode}`}`);
    }
    return { ok: false, reason: `the check exited with code ${exitCode}${detail}` };
  };
}

function variablesOf(fleet: string, { tag, wave, hosts }: CheckedWave): Record<string, string> {
  return {
    DEWY_FLEET: fleet,
    DEWY_TAG: tag,
    DEWY_WAVE: String(wave),
    DEWY_HOSTS: fitting(hosts.join(" ")),
  };
}

/** Only whole names. */
function fitting(names: string): string {
  if (names.length <= MAX_HOSTS_TEXT) return names;
  return names.slice(0, names.lastIndexOf(" ", MAX_HOSTS_TEXT));
}

function failed(problem: string, detail: string): HostError {
  return new HostError(`Cannot finish --rollout-check: ${problem}${detail}`);
}

/** The last line of its errors, else of its output, as a reason. */
function lastLine({ stderr, stdout }: RunResult, redact: Redact): string {
  const lines = [stdout, stderr].flatMap((text) => text.split("\n"));
  const last = outputForPeople(lines, redact).findLast((line) => line.trim() !== "");
  return last === undefined ? "" : `: ${shorten(last.trim(), MAX_REASON)}`;
}
