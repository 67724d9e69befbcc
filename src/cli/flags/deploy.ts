import { readCommon, readRegistry } from "./common.ts";
import { readObserving } from "./observe.ts";
import type { ParsedArgv } from "./parse.ts";
import { readFleet } from "./rollout.ts";
import { duration, longDuration, text } from "./values.ts";
import { readWebhooks } from "./webhooks.ts";

/** The flags of all commands that deploy; the flag table describes them. */
export type DeployConfig = ReturnType<typeof readDeploying>;

export function readDeploying(argv: ParsedArgv) {
  return {
    ...readCommon(argv, readRegistry(argv)),
    cache: text(argv, "cache"),
    fleet: readFleet(argv),
    intervalMs: duration(argv, "interval", 1000),
    once: argv.flag("once"),
    beforeDeployHook: text(argv, "before-deploy-hook"),
    afterDeployHook: text(argv, "after-deploy-hook"),
    hookTimeoutMs: duration(argv, "hook-timeout", 1),
    ...readObserving(argv),
    retryBad: argv.flag("retry-bad"),
    acceptChanged: argv.texts("accept-changed").filter((tag) => tag !== ""),
    dryRun: argv.flag("dry-run"),
    windows: argv.texts("window").filter((times) => times !== ""),
    minAgeMs: duration(argv, "min-age", 0),
    noDowngrade: argv.flag("no-downgrade"),
    trustedRoot: text(argv, "trusted-root"),
    confirmMajor: argv.flag("confirm-major"),
    maxStalenessMs: longDuration(argv, "max-staleness"),
    webhooks: readWebhooks(argv),
  };
}
