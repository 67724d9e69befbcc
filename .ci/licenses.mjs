import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const PACKAGE = /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+/;
/** A comment with a copyright: a block, or lines one after another. */
const NOTICE =
  /\/\*(?:(?!\*\/)[\s\S])*Copyright[\s\S]*?\*\/|(?:^\/\/.*\n)*^\/\/ Copyright.*\n(?:^\/\/.*\n)*/gm;
const COMMENT_MARKS = /^(?:\/\/|\/?\*+\/?| \*\/?) ?/gm;

/** Returns the licenses of all packages in a bundle; packages with the same text share it. */
export function licensesOf(root, inputs) {
  const byText = new Map();
  for (const directory of new Set(inputs.flatMap((path) => PACKAGE.exec(path) ?? []))) {
    const files = inputs.filter((path) => path.startsWith(`${directory}/`));
    const manifest = JSON.parse(readFileSync(join(root, directory, "package.json"), "utf8"));
    const text =
      licenseFile(join(root, directory)) ??
      statedLicense(
        manifest,
        files.map((file) => readFileSync(join(root, file), "utf8")),
      );
    byText.set(text, [...(byText.get(text) ?? []), `${manifest.name} ${manifest.version}`]);
  }
  const parts = [...byText].map(([text, names]) => `${names.sort().join("\n")}\n\n${text}\n`);
  const rule = `\n${"-".repeat(80)}\n\n`;
  return `The command and dist/vendor contain these packages.\n${rule}${parts.sort().join(rule)}`;
}

function licenseFile(directory) {
  const file = readdirSync(directory).find((name) => /^licen[cs]e/i.test(name));
  return file && readFileSync(join(directory, file), "utf8").trim();
}

/** What a package without a license file says in its manifest and its sources. */
function statedLicense({ license, repository }, sources) {
  const notices = sources
    .flatMap((source) => source.match(NOTICE) ?? [])
    .map((notice) => notice.replace(COMMENT_MARKS, "").trim());
  return [`License: ${license}\nSource: ${repository.url}`, ...new Set(notices)].join("\n\n");
}
