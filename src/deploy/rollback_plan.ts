import { ConfigError, ConflictError, NotFoundError } from "../core/error.ts";
import { compareTags } from "./decisions.ts";
import type { DeployContext } from "./deployer.ts";
import { type DeployedRelease, type DeployState, findRelease, isBad } from "./state.ts";

export type RollbackPlan =
  | { kind: "already"; tag: string }
  | {
      kind: "rollback";
      target: DeployedRelease;
      /** The version left behind; `undefined` if it is unknown. */
      left: string | undefined;
      /** Whether a version that is getting ready is given up, and the target serves already. */
      isAbandoned: boolean;
      note?: string;
    };

interface PlanContext extends Pick<DeployContext, "store" | "switches" | "calver"> {
  deployer: Pick<DeployContext["deployer"], "live" | "has">;
}

/** Decides what a rollback returns to and what it leaves behind; it changes nothing. */
export async function planRollback(
  tag: string | undefined,
  context: PlanContext,
): Promise<RollbackPlan> {
  const { deployer, store, switches, calver = "" } = context;
  const live = await deployer.live();
  const state = await store.load();
  const left = findRelease(state, live)?.tag;
  const { switching } = state;
  const isGettingReady = switching?.to === live && !switches.isUnderway(live);
  const serving = isGettingReady ? servingMeanwhile(state, context) : undefined;
  if (serving !== undefined && (tag === undefined || tag === serving.tag)) {
    return { kind: "rollback", target: serving, left, isAbandoned: true };
  }
  if (tag !== undefined) return planForTag(tag, { state, live, left }, context);
  if (left === undefined) {
    const problem = live === undefined ? "no version is live" : "the live version is unknown";
    throw new NotFoundError(`Cannot roll back: ${problem}; name a version: dewy rollback TAG`);
  }
  const target = await rollbackChoice(state, left, deployer.has, calver);
  if (target === undefined) {
    throw new NotFoundError(
      `Cannot roll back from ${left}: no earlier version on this machine has passed its bake; ` +
        "dewy deploy TAG deploys one from the registry",
    );
  }
  return { kind: "rollback", target, left, isAbandoned: false };
}

/** The release that serves while another one is getting ready. */
function servingMeanwhile(
  state: DeployState,
  { switches }: PlanContext,
): DeployedRelease | undefined {
  const baking = [...switches.underway].findLast((one) => !isBad(state, one.directory));
  return findRelease(state, baking?.directory ?? state.switching?.from);
}

async function planForTag(
  tag: string,
  present: { state: DeployState; live: string | undefined; left: string | undefined },
  { deployer, calver = "" }: PlanContext,
): Promise<RollbackPlan> {
  const { state, live, left } = present;
  if (tag === left) return { kind: "already", tag };
  if (left !== undefined && compareTags(tag, left, calver) === 1) {
    throw new ConflictError(
      `Cannot roll back to ${tag}: it is newer than ${left}, which is live; use dewy deploy ${tag}`,
      { fault: "operator" },
    );
  }
  for (const target of [...state.releases].reverse()) {
    if (target.tag !== tag || target.directory === live) continue;
    if (!(await deployer.has(target.directory))) continue;
    const note = isBad(state, target.directory) ? `${tag} was marked bad` : undefined;
    return { kind: "rollback", target, left, isAbandoned: false, ...(note && { note }) };
  }
  throw new NotFoundError(
    `Cannot roll back to ${tag}: it is not on this machine; ` +
      `dewy releases lists what is, and dewy deploy ${tag} fetches it from the registry`,
  );
}

/** The live version, if a deploy of the tag would leave it behind because the tag is older. */
export async function leftByDeploy(
  tag: string,
  { deployer, store, calver = "" }: Pick<PlanContext, "deployer" | "store" | "calver">,
): Promise<string | undefined> {
  const live = findRelease(await store.load(), await deployer.live())?.tag;
  return live !== undefined && compareTags(tag, live, calver) === -1 ? live : undefined;
}

/** Refuses a deploy that contradicts a pin. */
export function checkPin({ pinned }: DeployState, tag: string): void {
  if (pinned === undefined || pinned.tag === tag) return;
  throw new ConfigError(
    `Cannot deploy ${tag}: pinned to ${pinned.tag} by ${pinned.user}; ` +
      `unpin first (dewy unpin), or move the pin: dewy pin ${tag}`,
    { code: "conflict" },
  );
}

/**
 * The release that a rollback without a tag takes: the newest version before the one left behind that
 * has passed its bake, is neither marked bad nor named by a skip, and is still on disk. Tags that are
 * not versions are ordered by the time at which they were staged.
 */
export async function rollbackChoice(
  state: DeployState,
  leftTag: string,
  has: (directory: string) => Promise<boolean>,
  calver: string,
): Promise<DeployedRelease | undefined> {
  for (const release of earlierReleases(state, leftTag, calver)) {
    const isRejected = isBad(state, release.directory) || isSkipped(release, state);
    if (isProven(release, state) && !isRejected && (await has(release.directory))) return release;
  }
  return undefined;
}

/** An operator has left this very version behind. Versions that are only earlier than it may be good. */
function isSkipped({ tag }: DeployedRelease, { skipped = [] }: DeployState): boolean {
  return skipped.some((one) => one.tag === tag);
}

/** Earlier versions of dewy did not record which releases have passed their bake, only the last one. */
export function isProven({ directory, provenAt }: DeployedRelease, state: DeployState): boolean {
  const { previous, switching } = state;
  return provenAt !== undefined || directory === previous || directory === switching?.from;
}

/** Newest first; of the releases of a tag, the one staged last. */
function earlierReleases(
  { releases }: DeployState,
  leftTag: string,
  calver: string,
): readonly DeployedRelease[] {
  const latestFirst = [...releases].reverse();
  const lower = latestFirst
    .filter(({ tag }) => compareTags(tag, leftTag, calver) === -1)
    .sort((a, b) => compareTags(b.tag, a.tag, calver) ?? 0);
  const left = latestFirst.findIndex(({ tag }) => tag === leftTag);
  const stagedBefore = latestFirst.slice(left + 1).filter(({ tag }) => {
    return tag !== leftTag && compareTags(tag, leftTag, calver) === undefined;
  });
  return [...lower, ...stagedBefore];
}
