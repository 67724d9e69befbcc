import type { NotifierDriver } from "../notifiers/driver.ts";
import type { RegistryDriver } from "../registries/driver.ts";
import {
  type CommandName,
  type CommandSpec,
  commands,
  type FlagSpec,
  flagsOf,
  spellFlag,
} from "./flags/table.ts";

/** The drivers whose URLs a command's help shows. */
export interface HelpTables {
  /** The registries that can be asked. */
  registries: readonly RegistryDriver[];
  /** The notifiers. */
  notifiers: readonly NotifierDriver[];
}

/**
 * What `dewy --help` prints.
 *
 * @returns the text, with its last newline.
 */
export function programHelp(): string {
  return page([
    "dewy pulls the newest version of an app from a registry and deploys it.",
    "Usage: dewy <command> [flags]",
    `Commands:\n${table(commands.map(({ name, summary }) => [name, summary]))}`,
    `Flags:\n${flagTable(flagsOf(undefined))}`,
    'Run "dewy <command> --help" for the flags and URLs of a command.',
  ]);
}

/**
 * What `dewy <command> --help` prints.
 *
 * @param name the command.
 * @param tables the drivers.
 * @returns the text, with its last newline.
 */
export function commandHelp(name: CommandName, tables: HelpTables): string {
  const spec = commands.find((command) => command.name === name) as CommandSpec;
  const own = flagsOf(name);
  const fitting = tables.registries.filter((driver) => canAsk(name, driver));
  const sections = [`${spec.summary}.`, `Usage: dewy ${spec.usage}`, `Flags:\n${flagTable(own)}`];
  if (fitting.length > 0) sections.push(`Registries:\n${syntaxTable(fitting)}`);
  if (own.some((flag) => flag.name === "notifier")) {
    sections.push(`Notifiers:\n${syntaxTable(tables.notifiers)}`);
  }
  return page([...sections, `Example:\n  ${spec.example}`]);
}

function canAsk(name: CommandName, driver: RegistryDriver): boolean {
  switch (name) {
    case "check":
    case "explain":
      return true;
    case "registry":
      return driver.commands.includes("assets");
    case "container list":
      return false;
    default:
      return driver.commands.includes(name);
  }
}

function syntaxTable(drivers: readonly { syntax: string; name: string }[]): string {
  return table(drivers.map(({ syntax, name }) => [syntax, name]));
}

function page(sections: readonly string[]): string {
  return `${sections.join("\n\n")}\n`;
}

function flagTable(flags: readonly FlagSpec[]): string {
  return table(
    flags.map((flag) => [
      flag.short === undefined ? `    ${spellFlag(flag)}` : spellFlag(flag),
      flag.default === undefined
        ? flag.description
        : `${flag.description} (default: ${flag.default})`,
    ]),
  );
}

function table(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`).join("\n");
}
