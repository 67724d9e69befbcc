import type { CacheDriver } from "../cache/types.ts";
import type { NotifierDriver } from "../notifiers/driver.ts";
import type { RegistryDriver } from "../registries/driver.ts";
import {
  type CommandName,
  commandGroups,
  commands,
  defaultText,
  type FlagSpec,
  flagGroups,
  flagsOf,
  spellFlag,
} from "./flags/table.ts";
import { type TerminalStyle, wrap } from "./terminal.ts";

export interface HelpTables {
  registries: readonly RegistryDriver[];
  notifiers: readonly NotifierDriver[];
  caches: readonly CacheDriver[];
}

/** Longer names stand in a line of their own, above their text. */
const MAX_NAME = 30;

export function programHelp(style: TerminalStyle): string {
  return page([
    "dewy pulls the newest version of an app from a registry and deploys it.",
    `${style.bold("Usage:")} dewy <command> [flags]`,
    ...commandSections(style),
    section("Flags", flagsOf(undefined).map(flagRow), style),
    section("Example", [{ name: "dewy check ghr://owner/repo" }], style),
    'Run "dewy <command> --help" for the flags and URLs of a command.',
  ]);
}

function commandSections(style: TerminalStyle): string[] {
  const groups = Object.entries(commandGroups).map(([title, specs]) => ({
    title,
    rows: specs.map(({ name, summary }) => ({ name, text: summary })),
  }));
  const column = columnOf(groups.flatMap(({ rows }) => rows));
  return groups.map(({ title, rows }) => section(title, rows, style, column));
}

export function commandHelp(name: CommandName, tables: HelpTables, style: TerminalStyle): string {
  const spec = commands.find((command) => command.name === name);
  if (spec === undefined) throw new TypeError(`unknown command ${name}`);
  const own = flagsOf(name);
  const column = columnOf(own.map(flagRow));
  const groups = Object.entries(flagGroups).map(([title, flags]) => {
    const rows = flags.filter((flag) => own.includes(flag)).map(flagRow);
    return section(title, rows, style, column);
  });
  const registries = tables.registries.filter((driver) => canAsk(name, driver));
  const has = (name: string): boolean => own.some((flag) => flag.name === name);
  const notifiers = has("notifier") ? tables.notifiers : [];
  const caches = has("cache") ? tables.caches : [];
  return page([
    wrap(`${spec.summary}.`, style.columns).join("\n"),
    `${style.bold("Usage:")} dewy ${spec.usage}`,
    ...groups,
    section("Registry URLs", registries.map(syntaxRow), style),
    section("Notifier URLs", notifiers.map(syntaxRow), style),
    section("Cache URLs", caches.map(syntaxRow), style),
    section("Example", [{ name: spec.example }], style),
  ]);
}

function canAsk(name: CommandName, driver: RegistryDriver): boolean {
  switch (name) {
    case "check":
    case "explain":
      return true;
    case "registry":
      return driver.commands.includes("assets");
    case "server":
    case "assets":
    case "container":
      return driver.commands.includes(name);
    default:
      return false;
  }
}

interface Row {
  name: string;
  text?: string;
  note?: string | undefined;
}

function flagRow(flag: FlagSpec): Row {
  const value = defaultText(flag);
  return {
    name: flag.short === undefined ? `    ${spellFlag(flag)}` : spellFlag(flag),
    text: flag.description,
    note: value === undefined ? undefined : `(default: ${value})`,
  };
}

function syntaxRow({ syntax, name }: { syntax: string; name: string }): Row {
  return { name: syntax, text: name };
}

function page(sections: readonly string[]): string {
  return `${sections.filter((text) => text !== "").join("\n\n")}\n`;
}

function columnOf(rows: readonly Row[]): number {
  const widths = rows.map(({ name }) => name.length).filter((width) => width <= MAX_NAME);
  return 2 + Math.max(0, ...widths) + 2;
}

function section(
  title: string,
  rows: readonly Row[],
  style: TerminalStyle,
  column: number = columnOf(rows),
): string {
  if (rows.length === 0) return "";
  const lines = rows.flatMap((row) => rowLines(row, column, style));
  return [style.bold(`${title}:`), ...lines].join("\n");
}

function rowLines({ name, text, note }: Row, column: number, style: TerminalStyle): string[] {
  const head = `  ${name}`;
  if (text === undefined) return [head];
  const width = style.columns - column;
  const [first = "", ...more] = withNote(text, note, width, style);
  const indented = more.map((line) => " ".repeat(column) + line);
  if (head.length + 2 > column) return [head, " ".repeat(column) + first, ...indented];
  return [head.padEnd(column) + first, ...indented];
}

/** Wraps a text; the default behind it is dimmed, and stays in one line where it fits. */
function withNote(
  text: string,
  note: string | undefined,
  width: number,
  style: TerminalStyle,
): string[] {
  if (note === undefined) return wrap(text, width);
  if (note.length > width) return wrap(`${text} ${note}`, width);
  const unbroken = note.replaceAll(" ", "\u00a0");
  return wrap(`${text} ${unbroken}`, width).map((line) => line.replace(unbroken, style.dim(note)));
}
