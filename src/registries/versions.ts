import type { Clock } from "../core/clock.ts";
import { abortWith } from "../core/timeout.ts";
import type { ListedVersion, Registry, VersionsOptions } from "../core/types.ts";
import { inTime } from "./timeout.ts";

/** Lists the versions of any registry, with a limit on how long each may take. */
export async function* versionsOf(
  registry: Registry,
  { exclude, signal }: VersionsOptions,
  { clock, timeoutMs }: { clock: Clock; timeoutMs: number },
): AsyncGenerator<ListedVersion> {
  const stop = new AbortController();
  const detach = signal && abortWith(stop, signal);
  const options = { exclude, signal: stop.signal };
  const listed = (registry.versions?.(options) ?? onlyCurrent(registry, options))[
    Symbol.asyncIterator
  ]();
  try {
    for (;;) {
      const next = await inTime(timeoutMs, clock, signal, "list the versions", (limit) => {
        limit?.addEventListener("abort", () => stop.abort(limit.reason), { once: true });
        return listed.next();
      });
      if (next.done) return;
      yield next.value;
    }
  } finally {
    detach?.();
    // Not awaited: a listing that hangs ends when its request does.
    listed.return?.()?.catch(() => {});
  }
}

/** A registry that chooses the version itself has no other. */
async function* onlyCurrent(
  registry: Registry,
  options: VersionsOptions,
): AsyncGenerator<ListedVersion> {
  const current = await registry.resolve({ ...options, once: true });
  if (current.kind !== "ready") return;
  const { tag, version, createdAt } = current.release;
  yield { tag, version, preRelease: version.preRelease !== "", publishedAt: createdAt };
}
