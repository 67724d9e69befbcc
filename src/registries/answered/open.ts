import { ConfigError } from "../../core/error.ts";
import { joinSignals, withTimeout } from "../../core/timeout.ts";
import type { Artifact, OpenOptions } from "../../core/types.ts";
import { splitUrl } from "../../core/url.ts";
import type { RegistryContext } from "../driver.ts";
import { openHttpsArtifact } from "../https_artifact.ts";
import {
  type ArtifactRules,
  assertMayAsk,
  assertResolvesElsewhere,
  readAnsweredArtifact,
} from "./artifact.ts";

const LOOKUP_MS = 5_000;

/**
 * Streams an artifact that a server has answered with.
 *
 * @param headersFor Headers for the first request only: no redirect receives them at another origin.
 */
export async function openAnswered(
  artifact: Artifact,
  rules: ArtifactRules,
  io: RegistryContext,
  options: OpenOptions,
  headersFor?: (url: URL) => Readonly<Record<string, string>>,
): Promise<ReadableStream<Uint8Array>> {
  // Checked again, since the URL may come from a state file.
  const { url } = readAnsweredArtifact({ url: artifact.url }, rules);
  const signal = joinSignals(options.signal, io.signal);
  const open = { ...options, signal };
  if (/^https?:/.test(url)) {
    const checked = new Map<string, URL>();
    const check = async (next: URL): Promise<void> => {
      assertMayAsk(next, rules);
      assertResolvesElsewhere(next, rules, await addressesOf(next, io, signal));
      checked.set(next.hostname, next);
    };
    const guarded = await io.guardFetch?.(io.fetch, (host, addresses) => {
      assertResolvesElsewhere(checked.get(host) ?? new URL(url), rules, addresses);
    });
    await check(new URL(url));
    const guardedIo = { ...io, fetch: guarded ?? io.fetch };
    const split = splitUrl(url, "the artifact URL");
    return openHttpsArtifact(split, guardedIo, open, {
      checkRedirect: check,
      headers: headersFor?.(new URL(url)),
    });
  }
  if (io.openArtifact === undefined) {
    throw new ConfigError(`Cannot open "${artifact.name}": open the registry with openRegistry`);
  }
  return io.openArtifact(url, open);
}

/** The addresses of a host; empty if the lookup fails or is slow: a proxy may know names that this machine does not. */
async function addressesOf(
  url: URL,
  io: RegistryContext,
  signal: AbortSignal | undefined,
): Promise<readonly string[]> {
  if (io.resolveHost === undefined) return [];
  const found = io.resolveHost(url.hostname.replace(/^\[(.*)\]$/, "$1"));
  try {
    return await withTimeout(found, { clock: io.clock, ms: LOOKUP_MS, what: "address", signal });
  } catch {
    return [];
  }
}
