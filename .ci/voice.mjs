// Refuses phrases that make prose hard to read, in comments, strings and Markdown. Run it on the
// files you edit:
//
//   node .ci/voice.mjs [--advice] [path…]
//
// Without paths it reads the whole project. --advice adds phrases that are often, but not always,
// wrong.
import { readdirSync } from "node:fs";
import { extname, relative } from "node:path";
import { argv, exit } from "node:process";
import { pathToFileURL } from "node:url";
import { filesIn, literalsOf, textOf } from "./source_text.mjs";

/** Stands for `${…}` in the text of a template literal. */
const HOLE = "\uFFFC";
const NOT_AFTER_THERE = String.raw`(?<!\b[Tt]here (?:\w+ ){0,2})`;
/** "is no longer" and its like compare; they do not negate a noun. */
const AFTER_IS_NO =
  "longer|more|less|fewer|later|earlier|sooner|better|worse|different|bigger|larger|greater|smaller|higher|lower|older|newer|faster|slower|shorter|one|doubt";
const PROTOCOL = String.raw`(?:plain[- ])?(?:TLS|HTTPS?(?:/[\d.]+)?|gRPC(?:-Web)?|TCP|SSH|UDP)`;

/** Phrases with no innocent use, and what to write instead. */
export const REFUSED = [
  [/\bof (?:ours|theirs|yours)\b/giu, "name the thing: a `DewyError`, your own registry"],
  [/\bunless (?:told|said)\b/giu, '"Defaults to …", or "unless you set …"'],
  [
    /(?<!\$)\b(?:hears?|heard|hearing)\b(?!=)/giu,
    '"receives …", "called when …", "is notified of …"',
  ],
  [
    /(?<!\bunless )\btold\b(?! apart)/giu,
    '"called when", "receives", "is passed", "is reported", "is configured"',
  ],
  [
    /\btells? (?:of|if|whether|when|what|why|how|where|which|who|nothing|all|everything)\b/giu,
    '"Returns whether", "reports", "says"',
  ],
  [/\b(?:the|a|its) world\b(?![- ]wide)/giu, "`Context`, dependencies"],
  [/\bfor ever\b/giu, "indefinitely"],
  [/\banew\b/giu, 'again, or a verb with "re-"'],
  [/\bone's own\b/giu, '"your own", "its own"'],
  [/\bwho(?:m)?ever\b/giu, '"anyone who", or the name of the role'],
  [
    new RegExp(
      String.raw`${NOT_AFTER_THERE}\b(?:is|are|was|were|be|been|being) no (?!(?:${AFTER_IS_NO})\b)[^\s.,;:]+`,
      "giu",
    ),
    '"is not a …", "invalid …"',
  ],
  [
    new RegExp(
      String.raw`${NOT_AFTER_THERE}(?<!\bdefault )\b(?:is|are|was|were|be) none\b(?! of \S+ business)`,
      "gu",
    ),
    '"is not one", "is not one of …"',
  ],
  [
    new RegExp(
      String.raw`(?<!\b(?:is|are|was) )${NOT_AFTER_THERE}\bno (?:JSON|XML|YAML|UTF-8)\b`,
      "gu",
    ),
    '"not JSON", "invalid JSON"',
  ],
  [
    new RegExp(
      String.raw`(?<!\b(?:defined|required|specified|allowed|forbidden|permitted|mandated|expected|refused|caused|limited|imposed) )\bby ${PROTOCOL}(?![\w'-]| (?:server|client|library|header))`,
      "gu",
    ),
    '"over TLS", "over HTTP", "over gRPC"',
  ],
  [/\bmend(?:s|ed|ing|able)?\b/giu, "fix, repair"],
  [/\bwalls? (?:around|of)\b/giu, "isolation"],
  [/\bmakes? no (?:version|release|tag)\b/giu, '"does not mark the version as bad"'],
  [/\b(?:says?|said) of (?!this\b)/giu, '"explains why …", "reports for each …"'],
  [/\btakes? it all the time\b/giu, "the lock is contended"],
  [/\baffairs?\b/giu, '"is up to", "each … defines"'],
  [/\bbesides\b/giu, '"in addition to", "as well as"'],
  [/\bin vain\b/giu, '"without success", "but failed"'],
  [/\bheed(?:s|ed|ing)?\b/giu, "honours, respects"],
  [/\bthe one before\b/giu, "the previous one"],
  [/\b(?:can|may|could|must|to) be had\b/giu, "is available"],
  [/\b(?:is|are|not) paid for\b/giu, '"counts against the rate limit"'],
  [/\bsuch as by\b/giu, '"for example with"'],
  [/\bfarewells?\b/giu, "graceful close"],
  [/\blives? shortly\b/giu, "short-lived"],
];

/** Phrases to look at twice: they are fine in some sentences. */
export const ADVICE = [
  [/\b(?:no|some)body\b/giu, "name the role: the client, the operator"],
  [/(?:^|[.:;] )Wh(?:o|at) (?:is|are|has|was|does|can|it|the|a)\b/gu, "start with the subject"],
  [/\b(?:one|those) (?:that|who|which) (?:is|are|was|were|has|have|does)\b/giu, "name the thing"],
  [/\bonce more\b/giu, "again"],
  [/\bof (?:its|their|his) own\b/giu, '"its own …"'],
  [/\bprobation\b/giu, "bake"],
  [/\bgo(?:es)? on\b/giu, '"continues", "keeps running"'],
  [/\bway back\b/giu, "rollback"],
  [/\btells?\b/giu, "reports, passes, distinguishes"],
  [/\bsaid\b/giu, "set, reported, printed"],
  [/\bpatience\b/giu, "timeout, deadline"],
];

const SOURCE = new Set([".ts", ".mts", ".cts", ".js", ".mjs", ".cjs"]);
const TEXT = new Set([
  ".md",
  ".proto",
  ".sh",
  ".py",
  ".pl",
  ".c",
  ".go",
  ".service",
  ".socket",
  ".yaml",
  ".yml",
]);
/**
 * Not prose of this project: generated code, installed packages, test vectors; and the phrases
 * themselves.
 */
const SKIPPED =
  /(?:^|\/)(?:node_modules|dist|build|gen|vectors|\.git|\.stryker-tmp|\.ci\/voice\.mjs|test\/voice\.test\.ts|LICENSE)$/;

/**
 * Finds refused phrases in a file's text; the extension of its path decides what of it is prose.
 *
 * @returns {{ line: number, phrase: string, instead: string }[]} in the order of lines.
 */
export function findPhrases(path, text, table = REFUSED) {
  const blocks = SOURCE.has(extname(path)) ? sourceBlocks(text) : paragraphs(text);
  const found = blocks.flatMap((block) => {
    const { prose, lineAt } = joined(block);
    return table.flatMap(([pattern, instead]) =>
      [...prose.matchAll(pattern)].map((match) => ({
        line: lineAt(match.index),
        phrase: match[0].replaceAll(HOLE, "…").trim(),
        instead,
      })),
    );
  });
  return found.sort((a, b) => a.line - b.line);
}

/**
 * Finds refused phrases in files and directories. Returns a line for each:
 * `file:line: "phrase": what to write`.
 */
export function check(paths, table = REFUSED) {
  return paths
    .flatMap((path) => filesIn(path, (file) => SKIPPED.test(file)))
    .filter((file) => SOURCE.has(extname(file)) || TEXT.has(extname(file)) || extname(file) === "")
    .flatMap((file) =>
      findPhrases(file, textOf(file), table).map(
        ({ line, phrase, instead }) => `${relative("", file)}:${line}: "${phrase}": ${instead}`,
      ),
    );
}

/** A block is a list of [line number, text]: one sentence may run over several lines. */
function joined(block) {
  let prose = "";
  const starts = [];
  for (const [line, text] of block) {
    starts.push([prose.length, line]);
    prose += `${text.replace(/^\s*(?:\/\*+|\*(?![*/])|\/\/+|#+ |>)?\s*/, "").trimEnd()} `;
  }
  const lineAt = (index) => starts.findLast(([start]) => start <= index)[1];
  return { prose, lineAt };
}

function paragraphs(text) {
  const blocks = [[]];
  for (const [index, line] of text.split("\n").entries()) {
    if (/^\s*(?:\/\/|#+|>|\*)?\s*$/.test(line)) blocks.push([]);
    else if (line.startsWith("|")) blocks.push([[index + 1, line]], []);
    else blocks.at(-1).push([index + 1, line]);
  }
  return blocks;
}

/** Comments on lines that follow each other, and strings that `+` joins, are one block. */
function sourceBlocks(source) {
  const lineOf = lineCounter(source);
  const blocks = [];
  let last;
  for (const { kind, pieces } of literalsOf(source)) {
    const lines = pieces.flatMap(([from, to], index) =>
      `${source.slice(from, to)}${index < pieces.length - 1 ? HOLE : ""}`
        .split("\n")
        .map((text, i) => [lineOf(from) + i, text]),
    );
    const between = last?.kind === kind ? source.slice(last.end, pieces[0][0]) : "";
    const isMore = kind === "comment" ? /^\n[ \t]*$/ : /^["'`]\s*\+\s*["'`]$/;
    if (isMore.test(between)) blocks.at(-1).push(...lines);
    else blocks.push(lines);
    last = { kind, end: pieces.at(-1)[1] };
  }
  return blocks;
}

/** Returns the line of an offset; offsets mostly ascend. */
function lineCounter(source) {
  let line = 1;
  let at = 0;
  return (offset) => {
    if (offset < at) {
      line = 1;
      at = 0;
    }
    for (; at < offset; at++) if (source[at] === "\n") line++;
    return line;
  };
}

/** The project's folders and files, without the hidden ones of tools. */
export const projectPaths = () =>
  readdirSync(".").filter((name) => name === ".ci" || !/^\.|\.(?:json|lock)$/.test(name));

if (import.meta.url === pathToFileURL(argv[1] ?? "").href) {
  const paths = argv.slice(2).filter((word) => word !== "--advice");
  const table = argv.includes("--advice") ? [...REFUSED, ...ADVICE] : REFUSED;
  const found = check(paths.length > 0 ? paths : projectPaths(), table);
  for (const line of found) console.log(line);
  console.log(found.length === 0 ? "No refused phrases." : `${found.length} refused phrases.`);
  exit(found.length === 0 ? 0 : 1);
}
