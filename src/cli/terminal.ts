import type { Environment } from "../core/environment.ts";
import type { TextSink } from "../host/process/io.ts";

const DEFAULT_COLUMNS = 80;
const MIN_COLUMNS = 40;
const MAX_COLUMNS = 100;

export interface TerminalStyle {
  /** Whether a person reads along, so that marks and short lines help. */
  isTerminal: boolean;
  columns: number;
  bold(text: string): string;
  dim(text: string): string;
  red(text: string): string;
  green(text: string): string;
  yellow(text: string): string;
}

/** Colours follow https://no-color.org: an empty `NO_COLOR` does not count. */
export function terminalStyle(
  { isTerminal, columns }: Pick<TextSink, "isTerminal" | "columns">,
  env: Environment,
): TerminalStyle {
  const width = Number(env.COLUMNS) || columns || DEFAULT_COLUMNS;
  const hasColours = isTerminal && !env.NO_COLOR && !isDumb(env);
  // https://en.wikipedia.org/wiki/ANSI_escape_code#Select_Graphic_Rendition_parameters
  const sgr = (on: number, off: number) => (text: string) =>
    hasColours ? `\u001b[${on}m${text}\u001b[${off}m` : text;
  return {
    isTerminal,
    columns: Math.max(MIN_COLUMNS, Math.min(width, MAX_COLUMNS)),
    bold: sgr(1, 22),
    dim: sgr(2, 22),
    red: sgr(31, 39),
    green: sgr(32, 39),
    yellow: sgr(33, 39),
  };
}

/** Whether the terminal does not understand escape sequences. */
export function isDumb(env: Environment): boolean {
  return env.TERM === "dumb";
}

/** Breaks a text into lines of at most `width` characters; longer words keep a line of their own. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    const longer = line === "" ? word : `${line} ${word}`;
    if (line !== "" && longer.length > width) {
      lines.push(line);
      line = word;
    } else line = longer;
  }
  return [...lines, line];
}
