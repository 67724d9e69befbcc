import type { CommandContext } from "../../agent/context.ts";
import { openCache } from "../../cache/open.ts";
import { pruneCache } from "../../cache/prune.ts";
import { formatBytes } from "../../core/bytes.ts";
import { printable } from "../../core/text.ts";
import type { PruneConfig } from "../flags/cache.ts";

/** Prints the removed objects, one a line. */
export async function runPrune(config: PruneConfig, context: CommandContext): Promise<number> {
  const { caches, clock, io, signals, stdout } = context;
  const { store } = await openCache(config.cache, caches, io);
  const { artifactsMs, dryRun: isDry } = config;
  const options = { now: clock.now(), artifactsMs, isDry, signal: signals.stop };
  const { removed, kept } = await pruneCache(store, options);
  const bytes = removed.reduce((sum, item) => sum + item.bytes, 0);
  for (const { key, bytes: size } of removed) {
    stdout.write(`${printable(key)}  ${formatBytes(size)}\n`);
  }
  const verb = isDry ? "Would remove" : "Removed";
  stdout.write(
    `${verb} ${removed.length} objects (${formatBytes(bytes)}); ${kept.objects} are kept (${formatBytes(kept.bytes)})\n`,
  );
  return 0;
}
