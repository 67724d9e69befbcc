import { ConfigError } from "../../core/error.ts";
import type { ParsedArgv } from "./parse.ts";
import { text } from "./values.ts";

/** What decides whether a wave of a rollout is healthy; `undefined` for nothing but its hosts. */
export function readRolloutCheck(argv: ParsedArgv) {
  const [check, url, query] = ["rollout-check", "prometheus-url", "prometheus-query"].map((name) =>
    text(argv, name),
  );
  if (check !== undefined && text(argv, "fleet") === undefined) {
    throw new ConfigError("--rollout-check needs --fleet: without it, there is no rollout");
  }
  if (check === "prometheus") {
    if (url !== undefined && query !== undefined)
      return { kind: "prometheus" as const, url, query };
    const missing = url === undefined ? "--prometheus-url" : "--prometheus-query";
    throw new ConfigError(
      `--rollout-check prometheus needs ${missing}; a command of that name is ./prometheus`,
    );
  }
  const unused = url === undefined ? query && "--prometheus-query" : "--prometheus-url";
  if (unused) throw new ConfigError(`${unused} needs --rollout-check prometheus`);
  return check === undefined ? undefined : { kind: "command" as const, command: check };
}
