import type { Environment } from "../../core/environment.ts";
import { ConfigError } from "../../core/error.ts";
import { nearest } from "../../core/text.ts";
import { LABEL_PREFIX } from "./names.ts";
import {
  DANGEROUS_OPTIONS,
  MANAGED_OPTIONS,
  SHORT_OPTIONS,
  SWITCHES,
  VALUE_OPTIONS,
} from "./run_options.ts";

/** The operator's options for containers. If one is repeated, the last value counts. */
interface ContainerArgs {
  /** All options except `--name`. */
  args: readonly string[];
  name: string | undefined;
  user: string | undefined;
  stopTimeoutMs: number | undefined;
  /** The variables of `--env`. An `undefined` value is taken from dewy's own environment. */
  env: Environment;
}

/**
 * Checks the arguments after `--`: options of `docker run`, except those that dewy controls.
 *
 * @param allow The names of dangerous options to pass on, such as `privileged`.
 */
export function checkContainerArgs(
  args: readonly string[],
  allow: readonly string[] = [],
): ContainerArgs {
  const allowed = new Set(allow.map(checkAllowed));
  const options = readOptions(args);
  for (const option of options) checkOption(option, allowed);
  const last = (name: string): string | undefined =>
    options.findLast((option) => option.name === name)?.value;
  return {
    args: options.filter(({ name }) => name !== "name").flatMap(({ words }) => words),
    name: last("name"),
    user: last("user"),
    stopTimeoutMs: stopTimeoutMs(last("stop-timeout")),
    env: Object.fromEntries(options.filter(({ name }) => name === "env").map(variable)),
  };
}

/** The engines also accept -1 for no limit; dewy does not. */
function stopTimeoutMs(value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  if (/^\d{1,5}$/.test(value)) return Number(value) * 1_000;
  throw new ConfigError(
    `Cannot use --stop-timeout "${value}" after --: expected a number of seconds, such as 60`,
  );
}

function variable({ value = "" }: Option): [string, string | undefined] {
  const at = value.indexOf("=");
  return at < 0 ? [value, undefined] : [value.slice(0, at), value.slice(at + 1)];
}

interface Option {
  /** The long name. */
  name: string;
  /** As typed, without the value. */
  typed: string;
  value: string | undefined;
  /** The arguments of the option. In a bundle of short options, only the last one has them. */
  words: readonly string[];
}

function readOptions(args: readonly string[]): Option[] {
  const options: Option[] = [];
  for (let at = 0; at < args.length; ) {
    const read = readOption(args[at] ?? "", args[at + 1]);
    options.push(...read);
    at += read.at(-1)?.words.length ?? 1;
  }
  return options;
}

function readOption(word: string, next: string | undefined): Option[] {
  if (!word.startsWith("-") || word === "-" || word === "--") {
    throw new ConfigError(
      `Cannot use "${word}" after --: not an option; the engine would treat it as the image. Use --cmd to set the command`,
    );
  }
  return word.startsWith("--") ? [readLong(word, next)] : readShort(word, next);
}

function readLong(word: string, next: string | undefined): Option {
  const [, typed = word, value] = /^([^=]*)(?:=(.*))?$/s.exec(word) ?? [];
  const name = typed.slice(2);
  if (value !== undefined || SWITCHES.has(name)) return { name, typed, value, words: [word] };
  // An unknown option may or may not take a value.
  const isValue = VALUE_OPTIONS.has(name) || (next !== undefined && !next.startsWith("-"));
  if (!isValue) return { name, typed, value, words: [word] };
  return withNext({ name, typed }, word, next);
}

/** Reads `-e A=b`, `-eA=b`, `-e=A=b`, `-dit` and `-qe A=b`. */
function readShort(word: string, next: string | undefined): Option[] {
  const options: Option[] = [];
  for (let at = 1; at < word.length; at += 1) {
    const typed = `-${word[at]}`;
    const name = SHORT_OPTIONS.get(word[at] ?? "");
    if (name === undefined) {
      throw new ConfigError(
        `Cannot use "${word}" after --: neither docker nor podman has an option ${typed}`,
      );
    }
    const rest = word.slice(at + 1);
    const hasEqualSign = rest.startsWith("=");
    const value = hasEqualSign ? rest.slice(1) : rest;
    if (SWITCHES.has(name) && !hasEqualSign) {
      options.push({ name, typed, value: undefined, words: rest === "" ? [word] : [] });
      continue;
    }
    if (rest === "") options.push(withNext({ name, typed }, word, next));
    else options.push({ name, typed, value, words: [word] });
    break;
  }
  return options;
}

function withNext(
  option: Pick<Option, "name" | "typed">,
  word: string,
  next: string | undefined,
): Option {
  if (next === undefined) {
    throw new ConfigError(`Cannot use ${option.typed} after --: its value is missing`);
  }
  return { ...option, value: next, words: [word, next] };
}

function checkOption({ name, typed, value = "" }: Option, allowed: ReadonlySet<string>): void {
  const reason = MANAGED_OPTIONS.get(name);
  if (reason !== undefined) throw new ConfigError(`Cannot use ${typed} after --: ${reason}`);
  if (DANGEROUS_OPTIONS.includes(name) && !allowed.has(name)) {
    throw new ConfigError(
      `Cannot use ${typed} after --: it weakens container isolation; to use it anyway, add --allow-option ${name}`,
    );
  }
  if (name === "label" && value.startsWith(LABEL_PREFIX)) {
    throw new ConfigError(
      `Cannot use ${typed} "${value}" after --: labels that begin with "${LABEL_PREFIX}" are reserved for dewy`,
    );
  }
  if (name === "network" || name === "net") checkNetwork(typed, value);
}

/** Refuses `host`, `none`, `container:<id>` and `ns:<path>`, also as `name=host,…`. */
function checkNetwork(typed: string, value: string): void {
  const parts = value.split(",");
  const network = parts.find((part) => part.startsWith("name="))?.slice(5) ?? parts[0] ?? "";
  const [mode = ""] = network.split(":");
  if (!["host", "none", "container", "ns"].includes(mode)) return;
  throw new ConfigError(
    `Cannot use ${typed} ${value} after --: no port of the container would be published, and the proxy could not reach it; create a network and use it (${typed} <name>)`,
  );
}

function checkAllowed(typed: string): string {
  const name = typed.replace(/^--/, "");
  if (DANGEROUS_OPTIONS.includes(name)) return name;
  const reason = MANAGED_OPTIONS.get(name);
  if (reason !== undefined) {
    throw new ConfigError(
      `Cannot use --allow-option ${typed}: --${name} is never passed on: ${reason}`,
    );
  }
  const meant = nearest(name, DANGEROUS_OPTIONS);
  throw new ConfigError(
    `Cannot use --allow-option ${typed}: expected ${DANGEROUS_OPTIONS.join(", ")}${meant === undefined ? "" : `; did you mean ${meant}?`}; other options do not need it`,
  );
}
