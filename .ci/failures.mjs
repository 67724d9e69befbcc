// Prints the failed tests of a JSON report of vitest, each with the beginning and the end of its message.
import { readFileSync } from "node:fs";
import { relative } from "node:path";

const FIRST_LINES = 8;
const LAST_LINES = 6;
const MAX_LENGTH = 300;

const [path = ""] = process.argv.slice(2);
const { testResults } = JSON.parse(readFileSync(path, "utf8"));
for (const { name, message, assertionResults } of testResults) {
  const file = relative(process.cwd(), name);
  const failed = assertionResults.filter(({ status }) => status === "failed");
  for (const { fullName, failureMessages } of failed)
    print(`${file} > ${fullName}`, failureMessages);
  // A file that could not be loaded has no tests.
  if (failed.length === 0 && message) print(file, [message]);
}

/** What was expected stands at the end, before the stack. */
function print(title, messages) {
  const [text] = messages.join("\n").split(/\n +at /);
  const lines = text.split("\n");
  const left = lines.length - FIRST_LINES - LAST_LINES;
  const shown =
    left > 0
      ? [...lines.slice(0, FIRST_LINES), `… ${left} lines`, ...lines.slice(-LAST_LINES)]
      : lines;
  console.log([title, ...shown.map((line) => `    ${shorten(line)}`)].join("\n"));
}

function shorten(line) {
  const half = MAX_LENGTH / 2;
  return line.length <= MAX_LENGTH ? line : `${line.slice(0, half)} … ${line.slice(-half)}`;
}
