import { cac } from "cac";
import { ConfigError } from "../../core/error.ts";
import { nearest } from "../../core/text.ts";
import { type CommandName, commands, type FlagSpec, flags, flagsOf } from "./table.ts";

export interface ParsedArgv {
  /** `undefined` when none is needed, as with `--version`. */
  command: CommandName | undefined;
  /** The arguments after the command that are not flags. */
  words: readonly string[];
  /** The arguments after `--`. */
  rest: readonly string[];
  /** The last value of a flag, exactly as typed; empty when it is not given. */
  text(name: string): string;
  /** All values of a repeatable flag, exactly as typed and in order. */
  texts(name: string): readonly string[];
  flag(name: string): boolean;
}

/** Takes a command line apart, without a check of what its values mean. Flags may come before or after the command. */
export function parseArgv(argv: readonly string[]): ParsedArgv {
  const end = argv.includes("--") ? argv.indexOf("--") : argv.length;
  const { args, problem } = forCac(argv.slice(0, end));
  const { words, values } = parseWithCac(args);
  const { command, rest: after } = findCommand(words);
  const parsed: ParsedArgv = {
    command,
    words: after,
    rest: argv.slice(end + 1),
    text: (flag) => textsOf(values(flag)).at(-1) ?? "",
    texts: (flag) => textsOf(values(flag)),
    flag: (flag) => values(flag).at(-1) === true,
  };
  if (parsed.flag("help") || parsed.flag("version")) return parsed;
  if (problem !== undefined) throw withProgramHint(problem, parsed);
  if (command === undefined) throw noCommand(words[0]);
  checkFlags(command, values);
  return parsed;
}

/** A command is one word or two; the longer name wins. */
function findCommand(words: readonly string[]): {
  command: CommandName | undefined;
  rest: readonly string[];
} {
  for (const length of [2, 1]) {
    const name = words.slice(0, length).join(" ");
    const command = commands.find((known) => known.name === name)?.name;
    if (command !== undefined) return { command, rest: words.slice(length) };
  }
  return { command: undefined, rest: words.slice(1) };
}

// cac's parser turns `1.10` into the number 1.1. Behind this mark every value and word stays a string.
const MARK = "=";

const marked = (text: string): string => MARK + text;
const unmarked = (text: string): string => text.slice(MARK.length);

/** cac reads `--no-downgrade` as "downgrade is false". */
function nameForCac(name: string): string {
  return name.replace(/^no-/, "no_");
}

/** `true` for a flag without a value. */
type FlagValue = string | boolean;

interface CacResult {
  words: readonly string[];
  values(flag: string): readonly FlagValue[];
}

function parseWithCac(args: readonly string[]): CacResult {
  const cli = cac("dewy");
  for (const { name, value } of flags) {
    cli.option(value === undefined ? `--${nameForCac(name)}` : `--${nameForCac(name)} <value>`, "");
  }
  const parsed = cli.parse(["", "", ...args], { run: false });
  const options = parsed.options as Readonly<Record<string, FlagValue | FlagValue[] | undefined>>;
  return {
    words: parsed.args.map(unmarked),
    values: (flag) => {
      const key = nameForCac(flag).replaceAll(/-([a-z])/g, (_, letter: string) =>
        letter.toUpperCase(),
      );
      const value = options[key];
      return value === undefined ? [] : [value].flat();
    },
  };
}

function textsOf(values: readonly FlagValue[]): string[] {
  return values.filter((value) => typeof value === "string").map(unmarked);
}

const BY_SPELLING: ReadonlyMap<string, FlagSpec> = new Map(
  flags.flatMap((flag): [string, FlagSpec][] => [
    [`--${flag.name}`, flag],
    ...(flag.short === undefined ? [] : [[`-${flag.short}`, flag] as [string, FlagSpec]]),
  ]),
);

/** Marks words and values, spells flags by their long names, and leaves out unknown flags as a problem. */
function forCac(argv: readonly string[]): { args: string[]; problem: ConfigError | undefined } {
  let problem: ConfigError | undefined;
  let needsValue: FlagSpec | undefined;
  const args = argv.flatMap((arg) => {
    const previous = needsValue;
    needsValue = undefined;
    if (!arg.startsWith("-") || arg === "-") return marked(arg);
    const [spelling, value] = splitAtEquals(arg);
    const flag = BY_SPELLING.get(spelling);
    if (flag === undefined) {
      problem ??= previous === undefined ? unknownFlag(spelling) : missingValue(previous.name, arg);
      return [];
    }
    const long = `--${nameForCac(flag.name)}`;
    if (value === undefined) {
      if (flag.value !== undefined) needsValue = flag;
      return long;
    }
    if (flag.value !== undefined) return `${long}=${marked(value)}`;
    if (value === "true" || value === "false") return `${long}=${value}`;
    problem ??= new ConfigError(`--${flag.name} does not take a value, but has "${value}"`);
    return long;
  });
  return { args, problem };
}

function splitAtEquals(word: string): [spelling: string, value: string | undefined] {
  const equals = word.indexOf("=");
  return equals < 0 ? [word, undefined] : [word.slice(0, equals), word.slice(equals + 1)];
}

function checkFlags(command: CommandName, values: CacResult["values"]): void {
  const own = new Set(flagsOf(command).map(({ name }) => name));
  for (const { name, value } of flags) {
    const given = values(name);
    if (given.length === 0) continue;
    if (!own.has(name)) throw foreignFlag(name, command);
    if (value !== undefined && given.includes(true)) throw missingValue(name);
  }
}

function foreignFlag(name: string, command: CommandName): ConfigError {
  const owners = commands
    .map((owner) => owner.name)
    .filter((owner) => flagsOf(owner).some((flag) => flag.name === name));
  return new ConfigError(
    `unknown flag --${name} for "dewy ${command}" (it belongs to: ${owners.join(", ")})`,
  );
}

/** A flag that dewy does not know may be meant for the app. */
function withProgramHint(problem: ConfigError, { command, words }: ParsedArgv): ConfigError {
  if (command === "container") {
    return new ConfigError(`${problem.message}; options of docker run go after "--"`);
  }
  if (command !== "server" || words.length === 0) return problem;
  return new ConfigError(`${problem.message}; flags of the app itself go after "--"`);
}

function missingValue(name: string, next?: string): ConfigError {
  const hint = next === undefined ? "" : `; write --${name}=${next} if "${next}" is the value`;
  return new ConfigError(`--${name} needs a value${hint}`);
}

function unknownFlag(spelling: string): ConfigError {
  // Every one-letter flag is close to every other: a suggestion would be a guess.
  const names = spelling.startsWith("--") ? flags.map(({ name }) => `--${name}`) : [];
  const near = MEANT_FLAGS.get(spelling) ?? meantBy(spelling, names);
  return new ConfigError(
    `unknown flag ${spelling}${near === undefined ? "" : `; did you mean ${near}?`}`,
  );
}

/** What other tools call it. */
const MEANT_FLAGS: ReadonlyMap<string, string> = new Map([
  ["--metrics", "--telemetry"],
  ["--prometheus", "--telemetry"],
  ["--tracing", "--telemetry"],
]);

export function noCommand(word: string | undefined): ConfigError {
  const all = commands.map((command) => command.name);
  const own = all.filter((name) => name.startsWith(`${word?.toLowerCase()} `));
  const names = own.length > 1 ? own : all;
  const known = `choose one of: ${names.join(", ")}`;
  if (word === undefined)
    return new ConfigError(`command is not available: no command given; ${known}`);
  const near = MEANT.get(word.toLowerCase()) ?? meantBy(word.toLowerCase(), names);
  const hint = near === undefined || near === "" ? known : `did you mean ${near}?`;
  return new ConfigError(`command is not available: "${word}"; ${hint}`);
}

/** The only name that begins with the word, else the one that looks most like it. */
function meantBy(word: string, names: readonly string[]): string | undefined {
  const longer = names.filter((name) => word.length > 1 && name.startsWith(word));
  return longer.length === 1 ? longer[0] : nearest(word, names);
}

/** What other tools call it. An empty text keeps a short word from being taken for a typo. */
const MEANT: ReadonlyMap<string, string> = new Map(
  Object.entries({
    // The Go dewy's own help says so.
    image: "container",
    help: "--help",
    run: "server",
    start: "server",
    stop: "",
    ls: "status",
    ps: "status",
    list: "status",
    details: "status",
    log: "history",
    logs: "history",
    audit: "history",
    events: "history",
    versions: "releases",
    undo: "rollback",
    revert: "rollback",
    downgrade: "rollback",
    upgrade: "deploy",
    update: "poll",
    sync: "poll",
    freeze: "pause",
    hold: "pause",
    lock: "pause",
    unfreeze: "resume",
    unlock: "resume",
    ignore: "skip",
    reload: "restart",
  }),
);
