import { chooseVersion, type VersionPolicy } from "../deploy/choose.ts";
import type { DeployContext } from "../deploy/deployer.ts";
import { attachListing } from "../deploy/listing.ts";
import { asDewyError, failedEvent } from "../deploy/loop.ts";
import { stageVersion } from "../deploy/sequence.ts";
import { type DeployState, findRelease } from "../deploy/state.ts";
import { exitCodeOf } from "./exit_code.ts";

/**
 * Does everything up to the activation of the version that a poll would deploy, and reports it. Neither the running version
 * nor a hook, a port or the decisions on record are touched. Returns the exit code: 2 if there is nothing to deploy.
 */
export async function dryRun(
  context: DeployContext,
  policy: VersionPolicy,
  { asFlagsSay, signal }: { asFlagsSay(state: DeployState): DeployState; signal: AbortSignal },
): Promise<number> {
  const { deployer, store, clock, emit } = context;
  const registry = attachListing(context.registry, policy.calver);
  const live = await deployer.live();
  const state = asFlagsSay(await store.load());
  const running = findRelease(state, live);
  let tag: string | undefined;
  try {
    const now = clock.now();
    const input = { registry, state, live, running, policy, now, emit, signal };
    const choice = await chooseVersion(input);
    if (choice.kind === "problem") emit(failedEvent(choice.error, 1));
    if (choice.kind === "stay" || choice.candidate === undefined) {
      if (choice.kind === "problem") return exitCodeOf(choice.error);
      if (running !== undefined) emit({ type: "up-to-date", tag: running.tag });
      return 2;
    }
    const { candidate } = choice;
    tag = candidate.release.tag;
    const { directory } = await stageVersion(candidate, context, signal);
    const previousTag = running?.tag;
    emit({ type: "would-deploy", tag, previousTag, directory: deployer.path(directory) });
    return 0;
  } catch (thrown) {
    if (signal.aborted) throw thrown;
    const error = asDewyError(thrown);
    emit(failedEvent(error, 1, tag === undefined ? {} : { tag }));
    return exitCodeOf(error);
  }
}
