import { ConfigError } from "../../core/error.ts";
import { printable, shorten } from "../../core/text.ts";
import { readLog } from "./common.ts";
import type { ParsedArgv } from "./parse.ts";
import type { STEERING } from "./table.ts";
import { count, longDuration, rejectProgram, text, unexpected } from "./values.ts";

export type StatusConfig = ReturnType<typeof readStatus>;
export type ReleasesConfig = ReturnType<typeof readReleases>;
export type HistoryConfig = ReturnType<typeof readHistory>;
export type SteerConfig = ReturnType<typeof readSteering>;
export type SteerName = (typeof STEERING)[number];

/** The flags of the commands that act on instances of this machine. */
function readLocal(argv: ParsedArgv) {
  rejectProgram(argv);
  const [name, directory] = [text(argv, "name"), text(argv, "directory")];
  if (name !== undefined && directory !== undefined) {
    throw new ConfigError("--name and --directory exclude each other: either finds the instance");
  }
  return { ...readLog(argv), name, directory, json: argv.flag("json") };
}

export function readStatus(argv: ParsedArgv) {
  rejectWords(argv, 0);
  return { command: "status" as const, ...readLocal(argv) };
}

export function readReleases(argv: ParsedArgv) {
  rejectWords(argv, 0);
  return { command: "releases" as const, ...readLocal(argv) };
}

export function readHistory(argv: ParsedArgv) {
  rejectWords(argv, 0);
  return {
    command: "history" as const,
    ...readLocal(argv),
    sinceMs: longDuration(argv, "since"),
    events: argv.texts("event").filter((one) => one !== ""),
    tag: text(argv, "tag"),
    limit: count(argv, "limit", 0),
    follow: argv.flag("follow"),
  };
}

const MAX_TAG = 200;
const MAX_MESSAGE = 500;
const MAX_SHOWN = 80;

const WITH_TAG: readonly SteerName[] = ["deploy", "pin", "skip", "trust accept"];
const WITH_OPTIONAL_TAG: readonly SteerName[] = ["rollback", "unskip"];

export function readSteering(command: SteerName, argv: ParsedArgv) {
  const needsTag = WITH_TAG.includes(command);
  rejectWords(argv, needsTag || WITH_OPTIONAL_TAG.includes(command) ? 1 : 0);
  const tag = readTag(argv);
  if (needsTag && tag === undefined) {
    throw new ConfigError(`dewy ${command} needs a tag; for example: dewy ${command} v1.2.0`);
  }
  return {
    command,
    ...readLocal(argv),
    tag,
    message: readMessage(argv),
    dryRun: argv.flag("dry-run"),
  };
}

/** An empty tag is refused: `dewy rollback "$TAG"` must not mean another version if the variable is not set. */
function readTag({ words: [tag], command }: ParsedArgv): string | undefined {
  if (tag === undefined) return undefined;
  if (tag === "") throw new ConfigError(`The tag of "dewy ${command}" is empty`);
  if (tag.length <= MAX_TAG && !/\s/.test(tag) && printable(tag) === tag) return tag;
  throw new ConfigError(
    `Invalid tag "${shorten(tag, MAX_TAG)}": expected at most ${MAX_TAG} characters without spaces, such as v1.2.0`,
  );
}

export function readMessage(argv: ParsedArgv): string | undefined {
  const message = text(argv, "message");
  if (message === undefined || (message.length <= MAX_MESSAGE && printable(message) === message)) {
    return message;
  }
  throw new ConfigError(
    `Invalid value for --message "${shorten(message, MAX_SHOWN)}": expected one line of at most ${MAX_MESSAGE} characters, without control characters`,
  );
}

function rejectWords(argv: ParsedArgv, most: number): void {
  const extra = argv.words[most];
  if (extra !== undefined) throw unexpected(extra, argv.command);
}
