/**
 * The reference of the README, derived from the tables.
 *
 * @module
 */

import { EXIT_CODES } from "../agent/exit_code.ts";
import type { EnvironmentSpec } from "../core/environment.ts";
import type { OptionSpec } from "../core/url.ts";
import type { NotifierDriver } from "../notifiers/driver.ts";
import type { RegistryDriver } from "../registries/driver.ts";
import { commands, defaultText, type FlagSpec, flags } from "./flags/table.ts";

/** What the reference is derived from. */
export interface ReferenceTables {
  /** The registries that can be asked. */
  registries: readonly RegistryDriver[];
  /** The notifiers. */
  notifiers: readonly NotifierDriver[];
}

/**
 * Renders the generated parts of the README.
 *
 * @param tables the drivers; commands, flags and exit codes have tables of their own.
 * @returns Markdown by the name of its marker: `<!-- generated:flags -->`.
 */
export function renderReference(tables: ReferenceTables): Readonly<Record<string, string>> {
  return {
    commands: markdownTable(
      ["Command", "What it does"],
      commands.map(({ usage, summary }) => [code(`dewy ${usage}`), summary]),
    ),
    flags: markdownTable(
      ["Flag", "Commands", "What it does", "Default"],
      flags.map((flag) => {
        const value = defaultText(flag);
        return [
          spelling(flag),
          flag.commands.join(", "),
          flag.description,
          value === undefined ? "" : code(value),
        ];
      }),
    ),
    registries: tables.registries.map(registrySection).join("\n\n"),
    notifiers: tables.notifiers.map(notifierSection).join("\n\n"),
    "exit-codes": markdownTable(
      ["Code", "Meaning"],
      EXIT_CODES.map(({ code: number, meaning }) => [String(number), meaning]),
    ),
  };
}

/**
 * Puts the generated parts between their markers.
 *
 * @param readme the README.
 * @param parts Markdown by marker.
 * @returns the README, up to date.
 * @throws Error when a marker is missing.
 */
export function updateReadme(readme: string, parts: Readonly<Record<string, string>>): string {
  let updated = readme;
  for (const [name, markdown] of Object.entries(parts)) {
    const [start, end] = [`<!-- generated:${name} -->`, `<!-- /generated:${name} -->`];
    const from = updated.indexOf(start);
    const to = updated.indexOf(end);
    if (from < 0 || to < from) throw new Error(`README.md has no ${start} … ${end}`);
    updated = `${updated.slice(0, from + start.length)}\n\n${markdown}\n\n${updated.slice(to)}`;
  }
  return updated;
}

function registrySection(driver: RegistryDriver): string {
  const lines = [
    `### ${driver.name}: ${code(driver.syntax)}`,
    `For ${driver.commands.map((name) => code(name)).join(", ")}. Example: ${code(driver.example)}`,
    optionTable(driver.options),
  ];
  if (driver.environment.length > 0) lines.push(environmentTable(driver.environment));
  return lines.join("\n\n");
}

function notifierSection(driver: NotifierDriver): string {
  return [
    `### ${driver.name}: ${code(driver.syntax)}`,
    `Example: ${code(driver.example)}`,
    optionTable(driver.options),
    environmentTable(driver.environment),
  ].join("\n\n");
}

function optionTable(options: readonly OptionSpec[]): string {
  return markdownTable(
    ["Option", "Type", "What it does"],
    options.map(({ name, type, description }) => [code(name), type, description]),
  );
}

function environmentTable(variables: readonly EnvironmentSpec[]): string {
  return markdownTable(
    ["Environment", "Secret", "What it does"],
    variables.map(({ name, secret, description }) => [
      code(name),
      secret === false ? "" : secret === "json" ? "the JSON" : "yes",
      description,
    ]),
  );
}

function spelling({ name, short, value }: FlagSpec): string {
  const long = code(`--${name}${value === undefined ? "" : ` ${value}`}`);
  return short === undefined ? long : `${code(`-${short}`)}, ${long}`;
}

function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

function code(text: string): string {
  return `\`${text}\``;
}
