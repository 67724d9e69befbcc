import { ConfigError } from "../../core/error.ts";
import { readLog } from "./common.ts";
import type { ParsedArgv } from "./parse.ts";
import { longDuration, textOr } from "./values.ts";

export type SignIndexConfig = ReturnType<typeof readSignIndex>;

const MONTH_MS = 30 * 24 * 60 * 60_000;

export function readSignIndex(argv: ParsedArgv) {
  const [tag, ...files] = argv.words;
  if (tag !== undefined && files.length === 0) {
    throw new ConfigError(
      `dewy sign-index needs the files of ${tag}; for example: dewy sign-index ${tag} app.tar.gz`,
    );
  }
  if (argv.words.includes("")) {
    throw new ConfigError('A tag or file of "dewy sign-index" is empty');
  }
  return {
    command: "sign-index" as const,
    ...readLog(argv),
    tag,
    files,
    index: textOr(argv, "index"),
    expiresInMs: longDuration(argv, "expires") ?? MONTH_MS,
    /** The command that signs; its last argument is the path of the index. */
    signer: argv.rest,
  };
}
