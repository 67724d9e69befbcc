// Prints the failed tests of a JSON report of vitest, each with the beginning of its message.
import { readFileSync } from "node:fs";
import { relative } from "node:path";

const MAX_LINES = 12;

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

function print(title, messages) {
  const lines = messages.join("\n").split("\n").slice(0, MAX_LINES);
  console.log([title, ...lines.map((line) => `    ${line.slice(0, 300)}`)].join("\n"));
}
