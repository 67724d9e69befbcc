import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../runtime/runtimes.ts";

/** A Markdown file of the project. */
export interface Document {
  /** The path from the project's root. */
  file: string;
  text: string;
}

/** A fenced code block. */
export interface CodeBlock {
  /** The word after the fence; empty if there is none. */
  language: string;
  code: string;
  /** The line of the opening fence, from 1. */
  line: number;
}

const FOLDERS = ["docs", "examples"];

/** Every Markdown file in the root, docs/ and examples/. */
export function documents(): readonly Document[] {
  const inFolders = FOLDERS.flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" }).map((name) =>
      join(folder, name),
    ),
  );
  return [...readdirSync(ROOT), ...inFolders]
    .filter((file) => file.endsWith(".md"))
    .sort()
    .map((file) => ({ file, text: readFileSync(join(ROOT, file), "utf8") }));
}

export function codeBlocks(text: string): readonly CodeBlock[] {
  const blocks: CodeBlock[] = [];
  let open: { language: string; lines: string[]; line: number } | undefined;
  for (const [index, line] of text.split("\n").entries()) {
    const fence = /^```(.*)$/.exec(line);
    if (fence === null) open?.lines.push(line);
    else if (open === undefined) open = { language: fence[1] ?? "", lines: [], line: index + 1 };
    else {
      const { language, lines, line: start } = open;
      blocks.push({ language, code: `${lines.join("\n")}\n`, line: start });
      open = undefined;
    }
  }
  if (open !== undefined) throw new Error(`the block of line ${open.line} does not end`);
  return blocks;
}

/** The text without its code blocks. */
export function proseOf(text: string): string {
  return text.replaceAll(/^```[^\n]*\n.*?^```$/gms, "");
}
