import type { DewyError } from "../core/error.ts";
import { chooseVersion, type VersionPolicy } from "./choose.ts";
import type { DeployIo } from "./deployer.ts";
import { deploy } from "./sequence.ts";
import { findRelease } from "./state.ts";

/** How one look at the registry ended. */
export interface TickResult {
  /** Whether a version was deployed. */
  deployed: boolean;
  /** The tag that is live now. */
  live: string | undefined;
  /** What is wrong although nothing failed: no version, or no artifact of the newest. */
  problem?: DewyError;
}

/**
 * One look at the registry, and a deploy when there is something to deploy.
 *
 * @param policy what the operator allows.
 * @param io the world.
 * @param signal ends it.
 * @returns what is live now.
 * @throws DewyError when the registry cannot be asked or the deploy failed.
 */
export async function tick(
  policy: VersionPolicy,
  io: DeployIo,
  signal: AbortSignal,
): Promise<TickResult> {
  const state = await io.store.load();
  const running = findRelease(state, await io.deployer.live());
  const { registry, emit } = io;
  const choice = await chooseVersion({ registry, state, running, policy, emit, signal });
  const problem = choice.kind === "problem" ? { problem: choice.error } : {};
  if (choice.kind === "stay" || choice.candidate === undefined) {
    return { deployed: false, live: running?.tag, ...problem };
  }
  const release = await deploy(choice.candidate, io, signal);
  return { deployed: true, live: release.tag, ...problem };
}
