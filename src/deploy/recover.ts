import { DewyError } from "../core/error.ts";
import type { DeployContext } from "./deployer.ts";
import { failedEvent } from "./loop.ts";
import { retryReports } from "./reports.ts";
import { hookVariables, removeOldReleases, runAfterHook, type Trial, verify } from "./sequence.ts";
import {
  cancelSwitch,
  type DeployedRelease,
  type DeployOrder,
  type DeployState,
  directoriesIn,
  findRelease,
  isBad,
  wayBack,
  withoutAfterHook,
  withoutReleases,
} from "./state.ts";

/**
 * Cleans up at startup, and resumes or undoes an interrupted switch. Returns the release that still
 * has to pass its bake.
 */
export async function recover(
  context: DeployContext,
  signal: AbortSignal,
): Promise<Trial | undefined> {
  await context.deployer.clean();
  await forgetLostReleases(context);
  const live = await context.deployer.live();
  const state = await context.store.load();
  if (live !== undefined && findRelease(state, live) === undefined) {
    const message = "Live version unknown: there is no record of it";
    context.emit({ type: "warning", message, fields: { directory: context.deployer.path(live) } });
  }
  // Without any record, the state file was lost, or another deployer created these releases.
  if (state.releases.length > 0) await removeOldReleases(context, signal, 0);
  const { order } = state;
  const release = findRelease(state, state.switching?.to);
  // The order itself finishes its rollback.
  if (isRollbackUnderway(state) && live === state.switching?.to) return undefined;
  const isWanted = order === undefined || order.kind === "restart" || order.tag === release?.tag;
  if (isWanted && release !== undefined && live === release.directory && !isBad(state, live)) {
    return resume(release, order?.kind === "deploy" ? order : undefined, context, signal);
  }
  await undoLeftovers(state, live, context);
  return undefined;
}

function isRollbackUnderway({ order, switching }: DeployState): boolean {
  return order?.kind === "rollback" && order.directory === switching?.to;
}

/**
 * Retries what an earlier poll could not do: a rollback, an after-deploy hook that has not run, and
 * reports to the registry.
 */
export async function settle(context: DeployContext, signal: AbortSignal): Promise<void> {
  const { switches, store, deployer } = context;
  const isLeft = (state: DeployState): boolean =>
    state.switching !== undefined &&
    !switches.isUnderway(state.switching.to) &&
    !isRollbackUnderway(state);
  if (isLeft(await store.load())) {
    await switches.exclusively(async () => {
      const state = await store.load();
      if (isLeft(state)) await undoLeftovers(state, await deployer.live(), context);
    });
  }
  await settleAfterHook(context, signal);
  await retryReports(context, signal);
}

async function settleAfterHook(context: DeployContext, signal: AbortSignal): Promise<void> {
  const { switches, store, deployer } = context;
  const { afterHook, releases, switching } = await store.load();
  if (afterHook === undefined || switches.isUnderway(afterHook.directory)) return;
  const { directory, previousTag } = afterHook;
  const release = releases.find((one) => one.directory === directory);
  if (release === undefined || (await deployer.live()) !== directory) {
    // The version that replaced it may still be rolled back.
    if (switching !== undefined) return;
    await store.update((state) => withoutAfterHook(state, directory));
    return;
  }
  const variables = { ...(await hookVariables(release, context)), previousTag };
  await runAfterHook(release, variables, context, signal);
}

async function undoLeftovers(
  state: DeployState,
  live: string | undefined,
  { switches, deployer, store, emit }: DeployContext,
): Promise<void> {
  const { switching } = state;
  // A version that is baking serves, although it is not known to be good yet.
  const baking = [...switches.underway].findLast((one) => !isBad(state, one.directory));
  const back = baking?.directory ?? wayBack(state, switching?.to ?? live);
  if (switching === undefined && back === live) return;
  await deployer.restore(back);
  await store.update((latest) => cancelSwitch(latest, back, baking !== undefined));
  const left = findRelease(state, switching?.to) ?? findRelease(state, live);
  const hasHappened = switching === undefined || live === switching.to;
  const action = hasHappened
    ? "went back to the previous version"
    : "undid a switch that had not happened";
  emit({ type: "recovered", tag: left?.tag, action });
}

async function resume(
  release: DeployedRelease,
  order: DeployOrder | undefined,
  context: DeployContext,
  signal: AbortSignal,
): Promise<Trial | undefined> {
  const { tag } = release;
  const startedAt = context.clock.now();
  const variables = await hookVariables(release, context);
  try {
    const underway = await context.switches.attempt(signal, (either) =>
      verify({ release, from: undefined, order }, context, either),
    );
    context.emit({ type: "recovered", tag, action: "resumed a switch that was interrupted" });
    return { release, variables, startedAt, underway, order };
  } catch (error) {
    if (!(error instanceof DewyError) || error.code === "aborted") throw error;
    context.emit(failedEvent(error, 1, { tag }));
    return undefined; // It was rolled back, and polling continues.
  }
}

async function forgetLostReleases({ store, deployer }: DeployContext): Promise<void> {
  const lost: string[] = [];
  for (const directory of directoriesIn(await store.load())) {
    if (!(await deployer.has(directory))) lost.push(directory);
  }
  if (lost.length > 0) await store.update((state) => withoutReleases(state, lost));
}
