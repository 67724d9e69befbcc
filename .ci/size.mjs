// Prints the size of the source: lines, files, the share of comment lines, and the largest folders.
//
//   node .ci/size.mjs [path…]
//
// Without paths it reads src/, mod.ts and cli.ts. Generated code (a folder `gen`) is left out.
import { dirname, relative } from "node:path";
import { argv } from "node:process";
import { pathToFileURL } from "node:url";
import { filesIn, literalsOf, textOf } from "./source_text.mjs";

const DEFAULT_PATHS = ["src", "mod.ts", "cli.ts"];
const FOLDERS_SHOWN = 15;
const GENERATED = /(?:^|\/)(?:gen|node_modules|dist)$/;

/**
 * Counts a file's lines: all of them, those with only a comment, and those with code. The rest are
 * blank.
 */
export function countLines(source) {
  const lines = source.split("\n");
  if (lines.at(-1) === "") lines.pop();
  // Blanks out the comments: a line that is blank now, but was not, held only a comment.
  let code = "";
  let at = 0;
  for (const { kind, pieces } of literalsOf(source)) {
    if (kind !== "comment") continue;
    const [[start, end]] = pieces;
    code += source.slice(at, start) + source.slice(start, end).replace(/[^\n]/g, " ");
    at = end;
  }
  const uncommented = (code + source.slice(at)).split("\n");
  const isFilled = (line) => line.trim() !== "";
  const filled = lines.filter(isFilled).length;
  const withCode = uncommented.filter(isFilled).length;
  return { lines: lines.length, comments: filled - withCode, code: withCode };
}

/**
 * Measures source files, and those in directories. A folder's size is that of the files directly in
 * it.
 */
export function measure(paths = DEFAULT_PATHS) {
  const total = emptySize();
  const folders = new Map();
  const files = paths.flatMap((path) => filesIn(path, (name) => GENERATED.test(name)));
  for (const file of files.filter((name) => /\.[cm]?[jt]s$/.test(name))) {
    const folder = relative("", dirname(file)) || ".";
    if (!folders.has(folder)) folders.set(folder, emptySize());
    const counted = countLines(textOf(file));
    for (const size of [total, folders.get(folder)]) {
      size.files++;
      for (const key of Object.keys(counted)) size[key] += counted[key];
    }
  }
  return { total, folders };
}

/** The percentage of comment lines among the lines that are not blank. */
export function commentShare({ comments, code }) {
  return (100 * comments) / Math.max(1, comments + code);
}

function emptySize() {
  return { files: 0, lines: 0, comments: 0, code: 0 };
}

function row(name, size) {
  const share = `${commentShare(size).toFixed(1)} %`;
  const { files, lines, comments, code } = size;
  const numbers = [files, lines, code, comments, share].map((cell) => String(cell).padStart(9));
  return `${name.padEnd(36)}${numbers.join("")}`;
}

if (import.meta.url === pathToFileURL(argv[1] ?? "").href) {
  const { total, folders } = measure(argv.length > 2 ? argv.slice(2) : undefined);
  const byName = [...folders].sort(([a], [b]) => (a < b ? -1 : 1));
  const byFiles = [...folders].sort(([, a], [, b]) => b.files - a.files).slice(0, FOLDERS_SHOWN);
  const head = ["files", "lines", "code", "comments", "share"];
  console.log(`${"".padEnd(36)}${head.map((title) => title.padStart(9)).join("")}`);
  for (const [name, size] of byName) console.log(row(name, size));
  console.log(row(`all, ${folders.size} folders`, total));
  console.log(`\nFolders with the most files:`);
  for (const [name, { files }] of byFiles) console.log(`${String(files).padStart(5)}  ${name}`);
}
