import { ConfigError, ConflictError, NotFoundError } from "../core/error.ts";
import { compareTags } from "./decisions.ts";
import type { DeployContext } from "./deployer.ts";
import { rollbackChoice } from "./rollback_choice.ts";
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
