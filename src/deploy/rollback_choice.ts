import { compareTags } from "./decisions.ts";
import { type DeployedRelease, type DeployState, isBad } from "./state.ts";

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
