import { ConfigError } from "../../core/error.ts";
import type { ParsedArgv } from "./parse.ts";
import { readRolloutCheck } from "./rollout_check.ts";
import { count, duration, text, textOr } from "./values.ts";

/** The flags of a host that belongs to a fleet. */
export interface FleetConfig {
  name: string;
  /** Defaults to the host name of this machine. */
  host: string | undefined;
  waves: readonly Wave[];
  bakeMs: number;
  maxFailures: number;
  memberTtlMs: number;
  rollBackOnHalt: boolean;
  check: ReturnType<typeof readRolloutCheck>;
}

/** How many hosts may take a version, or which share of them. */
export type Wave = { hosts: number } | { percent: number };

const FLAGS = ["fleet-host", "rollout", "rollout-bake", "max-failures", "member-ttl"] as const;
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/;
const MAX_WAVES = 50;

/** Returns `undefined` without `--fleet`. */
export function readFleet(argv: ParsedArgv): FleetConfig | undefined {
  const name = text(argv, "fleet");
  const check = readRolloutCheck(argv);
  if (name === undefined) return rejectAlone(argv);
  const cache = text(argv, "cache");
  // The files of one machine.
  if (cache === undefined || cache.startsWith("file:")) {
    throw new ConfigError(
      "--fleet needs --cache with a bucket, through which the hosts agree, such as s3://eu-west-1/bucket/app",
    );
  }
  if (argv.flag("once") && !argv.flag("dry-run")) {
    throw new ConfigError(
      "--fleet cannot be used with --once: a rollout needs hosts that keep reporting; remove one of them",
    );
  }
  return {
    name: named("fleet", name),
    host: optionalName(argv, "fleet-host"),
    waves: readWaves(textOr(argv, "rollout")),
    bakeMs: duration(argv, "rollout-bake", 0),
    maxFailures: count(argv, "max-failures", 0),
    memberTtlMs: duration(argv, "member-ttl", 10_000),
    rollBackOnHalt: argv.flag("rollback-on-halt"),
    check,
  };
}

function rejectAlone(argv: ParsedArgv): undefined {
  const given = FLAGS.find((flag) => text(argv, flag) !== undefined);
  const flag = argv.flag("rollback-on-halt") ? "rollback-on-halt" : given;
  if (flag !== undefined) throw new ConfigError(`--${flag} needs --fleet`);
  return undefined;
}

function optionalName(argv: ParsedArgv, flag: string): string | undefined {
  const value = text(argv, flag);
  return value === undefined ? undefined : named(flag, value);
}

function named(flag: string, value: string): string {
  if (NAME.test(value)) return value;
  throw new ConfigError(
    `Invalid value for --${flag} "${value}": expected letters, digits, ".", "_" and "-", at most 100`,
  );
}

/** `1,10%,100%`: each wave has more hosts than the previous one. */
function readWaves(value: string): readonly Wave[] {
  const waves = value.split(",").map((part) => readWave(part.trim(), value));
  if (waves.length > MAX_WAVES) throw badWaves(value, `more than ${MAX_WAVES} waves`);
  for (const [index, wave] of waves.entries()) {
    const earlier = waves.slice(0, index);
    if (earlier.some((one) => isAtLeast(one, wave))) {
      throw badWaves(value, "each wave must have more hosts than the previous one");
    }
  }
  return waves;
}

function readWave(part: string, value: string): Wave {
  const percent = /^(\d{1,3}(?:\.\d{1,3})?)%$/.exec(part)?.[1];
  if (percent !== undefined && Number(percent) > 0 && Number(percent) <= 100) {
    return { percent: Number(percent) };
  }
  if (/^\d{1,6}$/.test(part) && Number(part) > 0) return { hosts: Number(part) };
  throw badWaves(value, `"${part}" is neither a number of hosts nor a share up to 100%`);
}

/** A number and a share can only be compared once the size of the fleet is known. */
function isAtLeast(one: Wave, other: Wave): boolean {
  if ("percent" in one) return "percent" in other && one.percent >= other.percent;
  return "hosts" in other && one.hosts >= other.hosts;
}

function badWaves(value: string, problem: string): ConfigError {
  return new ConfigError(
    `Invalid value for --rollout "${value}": ${problem}; expected waves such as 1,10%,100%`,
  );
}
