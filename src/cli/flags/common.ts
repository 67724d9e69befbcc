import { ConfigError } from "../../core/error.ts";
import { redactUrl } from "../../core/url.ts";
import type { ParsedArgv } from "./parse.ts";
import { commands } from "./table.ts";
import { splitUrlRules } from "./url_rules.ts";
import { choice, text, unexpected } from "./values.ts";

/** Undefined values have no default of their own: it depends on the command and the terminal. */
export type LogConfig = ReturnType<typeof readLog>;
export type LogLevel = NonNullable<LogConfig["logLevel"]>;
export type CommonConfig = ReturnType<typeof readCommon>;

export function readLog(argv: ParsedArgv) {
  return {
    logLevel: choice(argv, "log-level", ["debug", "info", "warn", "error"]),
    logFormat: choice(argv, "log-format", ["text", "json"]),
  };
}

export function readCommon(argv: ParsedArgv, registry: string) {
  const { url, rules } = splitUrlRules(registry);
  return {
    ...readLog(argv),
    registry: url,
    verify: [...argv.texts("verify"), ...rules],
    slot: text(argv, "slot"),
    calver: text(argv, "calver"),
    caFile: text(argv, "ca-file"),
  };
}

/** Finds the registry's URL: `--registry` or, for `check`, `explain` and `verify`, an argument. */
export function readRegistry(argv: ParsedArgv): string {
  const [argument, ...more] = takesTarget(argv) ? argv.words : [];
  const flag = text(argv, "registry");
  if (argument !== undefined && flag !== undefined) {
    throw new ConfigError(
      `unexpected argument "${redactUrl(argument)}": --registry already names a registry`,
    );
  }
  if (more[0] !== undefined) throw unexpected(more[0], argv.command);
  const url = argument || flag;
  if (!url) {
    throw new ConfigError(`--registry is not set; for example: ${exampleOf(argv.command)}`);
  }
  return url;
}

function takesTarget({ command }: ParsedArgv): boolean {
  return command === "check" || command === "explain" || command === "verify";
}

export function exampleOf(command: ParsedArgv["command"]): string {
  return commands.find(({ name }) => name === command)?.example ?? "dewy --help";
}
