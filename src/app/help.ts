import { type CommandName, commands, type FlagSpec, flagsOf, spellFlag } from "./flags.ts";

/**
 * What `--help` prints.
 *
 * @param command the command; `undefined` for the whole program.
 * @returns the text, with its last newline.
 */
export function helpText(command: CommandName | undefined): string {
  const spec = commands.find(({ name }) => name === command);
  const sections =
    spec === undefined
      ? [
          "dewy pulls the newest version of an app from a registry and deploys it.",
          "Usage: dewy <command> [flags]",
          `Commands:\n${table(commands.map(({ name, summary }) => [name, summary]))}`,
          `Flags:\n${flagTable(flagsOf(undefined))}`,
          'Run "dewy <command> --help" for the flags of a command.',
        ]
      : [
          `${spec.summary}.`,
          `Usage: dewy ${spec.usage}`,
          `Flags:\n${flagTable(flagsOf(spec.name))}`,
          `Example:\n  ${spec.example}`,
        ];
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
