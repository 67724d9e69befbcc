// Reads source files for the prose lint and the size report: comments, string literals, lines.
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";

/**
 * Before a slash, these end an expression's operator: what follows is a regular expression, not a
 * division.
 */
const BEFORE_REGEX =
  /(?:^|[(,=:[!&|?{};+\-*%<>~^}]|\b(?:return|typeof|case|in|of|void|delete|new|else|await|yield))$/;
const REGEX = /\/(?![*/])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n])+\/[a-z]*/y;
const COMMENT = /\/\/[^\n]*|\/\*[\s\S]*?(?:\*\/|$)/y;
const QUOTED = /"(?:\\[\s\S]|[^"\\\n])*"?|'(?:\\[\s\S]|[^'\\\n])*'?/y;

/**
 * Finds the comments and string literals of TypeScript or JavaScript, in source order. A template
 * literal has a piece before, between and after its `${}`.
 *
 * @param {string} source
 * @returns {{ kind: "comment" | "string", pieces: [start: number, end: number][] }[]}
 */
export function literalsOf(source) {
  const found = [];
  const match = (pattern, at) => {
    pattern.lastIndex = at;
    return pattern.exec(source)?.[0];
  };
  /** Reads code up to the end, or up to the `}` of a template's `${`. */
  const readCode = (start, isHole) => {
    let depth = 0;
    let before = ""; // the last few characters of code, without blanks
    for (let i = start; i < source.length; ) {
      const char = source[i];
      const comment = char === "/" ? match(COMMENT, i) : undefined;
      const quoted = char === '"' || char === "'" ? match(QUOTED, i) : undefined;
      if (comment !== undefined) {
        found.push({ kind: "comment", pieces: [[i, i + comment.length]] });
        i += comment.length;
      } else if (quoted !== undefined) {
        found.push({ kind: "string", pieces: [[i + 1, i + quoted.length - 1]] });
        i += quoted.length;
        before = '"';
      } else if (char === "`") {
        i = readTemplate(i + 1);
        before = '"';
      } else if (isHole && char === "}" && depth === 0) {
        return i;
      } else {
        if (char === "{") depth++;
        if (char === "}") depth--;
        const regex = char === "/" && BEFORE_REGEX.test(before) ? match(REGEX, i) : undefined;
        const word = regex ?? match(/[\w$]+/y, i) ?? char;
        if (word.trim() !== "") before = regex === undefined ? word : '"';
        i += word.length;
      }
    }
    return source.length;
  };
  const readTemplate = (start) => {
    const literal = { kind: "string", pieces: [] };
    found.push(literal);
    let from = start;
    for (let i = start; i < source.length; i++) {
      if (source[i] === "\\") i++;
      else if (source[i] === "`") {
        literal.pieces.push([from, i]);
        return i + 1;
      } else if (source.startsWith("${", i)) {
        literal.pieces.push([from, i]);
        i = readCode(i + 2, true);
        from = i + 1;
      }
    }
    return source.length;
  };
  readCode(0, false);
  return found;
}

/** Lists a file, or the files in a directory, recursively and in order. */
export function filesIn(path, isSkipped = () => false) {
  if (isSkipped(path)) return [];
  if (!statSync(path).isDirectory()) return [path];
  const names = readdirSync(path, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() || entry.isFile())
    .map(({ name }) => name);
  return names.sort().flatMap((name) => filesIn(join(path, name), isSkipped));
}

export function textOf(path) {
  return readFileSync(path, "utf8");
}
