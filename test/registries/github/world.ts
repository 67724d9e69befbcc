import type { DewyEvent } from "../../../src/core/event.ts";
import type { Registry, ResolveOptions } from "../../../src/core/types.ts";
import { openRegistry, type RegistryOptions } from "../../../src/registries/open.ts";
import { type FakeClock, fakeClock } from "../../fakes/clock.ts";
import { FakeGitHub, type FakeGitHubOptions } from "../../fakes/github.ts";

/** The files of a release that fits. */
export const APP: { name: string }[] = [{ name: "app_linux_amd64.tar.gz" }];

/** A fake GitHub, and dewy's registry on it. */
export interface GhrWorld {
  github: FakeGitHub;
  registry: Registry;
  clock: FakeClock;
  events: DewyEvent[];
  options: RegistryOptions;
  /** Opens another registry on the same GitHub. */
  reopen: (query: RegistryOptions) => Registry;
  /** Sets the time of dewy's machine, but not that of GitHub. */
  setForward(ms: number): void;
}

/** @returns a context whose token reads, unless `env` says otherwise; pauses are over at once, timeouts are not. */
export function ghrWorld(
  parts: { env?: Record<string, string>; github?: Partial<FakeGitHubOptions> } = {},
): GhrWorld {
  let aheadMs = 0;
  const clock = fakeClock({ skipUpTo: 29_999 });
  const github = new FakeGitHub({ clock, ...parts.github });
  const events: DewyEvent[] = [];
  const options: RegistryOptions = {
    platform: { os: "linux", arch: "amd64" },
    env: { GITHUB_API_URL: github.urls.api, ...(parts.env ?? { GH_TOKEN: "ghp_reader" }) },
    fetch: github.fetch,
    clock: { ...clock, now: () => clock.now() + aheadMs },
    emit: (event) => void events.push(event),
    timeoutMs: Number.POSITIVE_INFINITY,
  };
  const reopen = (query: RegistryOptions): Registry =>
    openRegistry("ghr://acme/app", { ...options, ...query });
  const setForward = (ms: number): void => {
    aheadMs += ms;
  };
  return { github, registry: reopen({}), clock, events, options, reopen, setForward };
}

/** @returns the tag that would be deployed now, or what the answer is instead. */
export async function readyTag(registry: Registry, options: ResolveOptions = {}): Promise<string> {
  const answer = await registry.resolve(options);
  return answer.kind === "ready" ? answer.release.tag : answer.kind;
}
