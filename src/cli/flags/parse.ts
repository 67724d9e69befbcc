import { cac } from "cac";
import { ConfigError } from "../../core/error.ts";
import { nearest } from "../../core/nearest.ts";
import { type CommandName, commands, type FlagSpec, flags, flagsOf } from "./table.ts";

/** A command line, taken apart. */
export interface ParsedArgv {
  /** The command; `undefined` when none was needed, as with `--version`. */
  command: CommandName | undefined;
  /** The words after the command that are no flags. */
  words: readonly string[];
  /** The words after `--`. */
  rest: readonly string[];
  /** The value of a flag, exactly as typed; empty when it is not given. The last one wins. */
  text(name: string): string;
  /** All values of a repeatable flag, exactly as typed and in this order. */
  texts(name: string): readonly string[];
  /** Whether a boolean flag is given. */
  flag(name: string): boolean;
}

/**
 * Takes a command line apart. Flags may come before or after the command.
 *
 * @param argv the words after the program's name.
 * @returns its parts, not yet checked for what they mean.
 * @throws ConfigError for an unknown command or flag, a missing value, or one that a boolean cannot have.
 */
export function parseArgv(argv: readonly string[]): ParsedArgv {
  const end = argv.includes("--") ? argv.indexOf("--") : argv.length;
  const marked = markWords(argv.slice(0, end));
  const cli = commandLine();
  cli.parse(["", "dewy", ...marked.words], { run: false });

  const { command, words } = findCommand(cli.matchedCommandName, cli.args.map(unmark));
  const parsed: ParsedArgv = {
    command,
    words,
    rest: argv.slice(end + 1),
    text: (flag) => lastText(cli.options[camelCase(flag)]),
    texts: (flag) => allTexts(cli.options[camelCase(flag)]),
    flag: (flag) => lastOf(cli.options[camelCase(flag)]) === true,
  };
  if (parsed.flag("help") || parsed.flag("version")) return parsed;
  if (marked.problem !== undefined) throw withProgramHint(marked.problem, parsed);
  if (command === undefined) throw noCommand(parsed.words[0]);
  checkFlags(command, cli.options);
  return parsed;
}

/** A command is a word, or two: then the longer name is meant. */
function findCommand(
  name: string | undefined,
  words: readonly string[],
): Pick<ParsedArgv, "command" | "words"> {
  const named = (text: string): CommandName | undefined =>
    commands.find((command) => command.name === text)?.name;
  const longer = named(`${name} ${words[0]}`);
  if (longer !== undefined) return { command: longer, words: words.slice(1) };
  return { command: named(name ?? ""), words };
}

type CommandLine = ReturnType<typeof cac>;

function commandLine(): CommandLine {
  const cli = cac("dewy");
  for (const { name, value } of flags) {
    cli.option(value === undefined ? `--${name}` : `--${name} <value>`, "");
  }
  for (const { name } of commands) {
    if (!name.includes(" ")) cli.command(`${name} [...words]`, "");
  }
  return cli;
}

// cac's parser makes numbers of what looks like one: `--slot 1.10` would become 1.1. No argument can
// have a NUL, so a value that starts with one stays a text, and is told from everything else.
const MARK = "\0";

function unmark(word: unknown): string {
  const text = String(word);
  return text.startsWith(MARK) ? text.slice(MARK.length) : text;
}

interface MarkedWords {
  words: string[];
  problem: ConfigError | undefined;
}

const BY_SPELLING: ReadonlyMap<string, FlagSpec> = new Map(
  flags.flatMap((flag) => [
    [`--${flag.name}`, flag],
    ...(flag.short === undefined ? [] : [[`-${flag.short}`, flag] as const]),
  ]) as [string, FlagSpec][],
);

/** Makes the words safe for cac: long names only, values marked, unknown flags under one name. */
function markWords(argv: readonly string[]): MarkedWords {
  let problem: ConfigError | undefined;
  let before: string | undefined;
  const words = argv.map((word) => {
    const previous = before;
    before = undefined;
    if (!word.startsWith("-") || word === "-") return looksCoercible(word) ? MARK + word : word;
    const [spelling, value] = splitAtEquals(word);
    const flag = BY_SPELLING.get(spelling);
    if (flag === undefined) {
      problem ??= previous === undefined ? unknownFlag(spelling) : missingValue(previous, word);
      return value === undefined ? "--unknown" : `--unknown=${MARK}${value}`;
    }
    if (value === undefined) {
      if (flag.value !== undefined) before = `--${flag.name}`;
      return `--${flag.name}`;
    }
    if (flag.value === undefined && value !== "true" && value !== "false") {
      problem ??= new ConfigError(`--${flag.name} takes no value, but has "${value}"`);
      return `--${flag.name}`;
    }
    return `--${flag.name}=${flag.value === undefined ? value : MARK + value}`;
  });
  return { words, problem };
}

function looksCoercible(word: string): boolean {
  return word === "-" || Number.isFinite(Number(word));
}

function splitAtEquals(word: string): [spelling: string, value: string | undefined] {
  const equals = word.indexOf("=");
  return equals < 0 ? [word, undefined] : [word.slice(0, equals), word.slice(equals + 1)];
}

/** How cac spells the key of an option. */
function camelCase(name: string): string {
  return name.replaceAll(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

function lastOf(value: unknown): unknown {
  return Array.isArray(value) ? value.at(-1) : value;
}

function lastText(value: unknown): string {
  const last = lastOf(value);
  return last === undefined ? "" : unmark(last);
}

function allTexts(value: unknown): string[] {
  return value === undefined ? [] : [value].flat().map(unmark);
}

function checkFlags(command: CommandName, options: Readonly<Record<string, unknown>>): void {
  const own = flagsOf(command);
  for (const flag of flags) {
    const value = options[camelCase(flag.name)];
    if (value === undefined) continue;
    if (!own.some(({ name }) => name === flag.name)) throw foreignFlag(flag.name, command);
    if (flag.value !== undefined && [value].flat().includes(true))
      throw missingValue(`--${flag.name}`);
  }
}

function foreignFlag(name: string, command: CommandName): ConfigError {
  const owners = flags.filter((flag) => flag.name === name).flatMap((flag) => flag.commands);
  return new ConfigError(`--${name} is no flag of "dewy ${command}", but of ${owners.join(", ")}`);
}

/** A flag that dewy does not know may be one of the app's. */
function withProgramHint(problem: ConfigError, { command, words }: ParsedArgv): ConfigError {
  if (command === "container") {
    return new ConfigError(`${problem.message}; options of docker run go after "--"`);
  }
  if (command !== "server" || words.length === 0) return problem;
  return new ConfigError(`${problem.message}; flags of the app itself go after "--"`);
}

function missingValue(flag: string, next?: string): ConfigError {
  const hint =
    next === undefined ? "" : `; a value that begins with "-" is written ${flag}=${next}`;
  return new ConfigError(`${flag} needs a value${hint}`);
}

function unknownFlag(spelling: string): ConfigError {
  const near = nearest(
    spelling,
    [...BY_SPELLING.keys()].filter((name) => name.startsWith("--") === spelling.startsWith("--")),
  );
  const meant = near === undefined ? "" : `; did you mean ${near}?`;
  return new ConfigError(`unknown flag ${spelling}${meant}`);
}

/**
 * The error for a command line without a command that is known.
 *
 * @param word what stands in its place.
 * @returns the error to throw.
 */
export function noCommand(word: string | undefined): ConfigError {
  const names = commands.map((command) => command.name);
  if (word === undefined) {
    return new ConfigError(`command is not available: none given; use one of ${names.join(", ")}`);
  }
  // The Go dewy's own help calls it "image".
  const near = word === "image" ? "container" : nearest(word.toLowerCase(), names);
  const meant = near === undefined ? `use one of ${names.join(", ")}` : `did you mean ${near}?`;
  return new ConfigError(`command is not available: "${word}"; ${meant}`);
}
