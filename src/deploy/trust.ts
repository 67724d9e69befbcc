// What verification has found out about releases, and what is remembered of it.
import type { Operator } from "../core/operator.ts";
import { formatPolicy, type VerifyPolicy } from "../verify/policy.ts";
import { missingSigner, signersOf } from "../verify/signer.ts";
import type { Staged } from "./deployer.ts";
import {
  type AcceptedTag,
  type DeployedRelease,
  type DeployState,
  findRelease,
  type TrustedSigner,
  type Verification,
} from "./state.ts";

const MAX_ACCEPTED = 100;
const AUTO = "auto";

/** The record of a release that passed; `undefined` if nothing was verified. */
export function verificationOf(
  policy: VerifyPolicy | undefined,
  { digest, proofs = [] }: Staged,
): Verification | undefined {
  if (policy === undefined || policy.mode === "none" || digest === undefined) return undefined;
  return { policy: formatPolicy(policy), digest, signers: signersOf(proofs) };
}

/** Whether a release that was staged before may serve under the policy without another verification. */
export function isVerified(
  { tag, verified }: DeployedRelease,
  state: DeployState,
  policy: VerifyPolicy | undefined,
): boolean {
  if (policy === undefined || policy.mode === "none") return true;
  if (verified?.policy !== formatPolicy(policy)) return false;
  if (policy.mode === "rules") return true;
  const { signers = [] } = state;
  return (
    isAccepted(state, tag, verified.digest) ||
    missingSigner(signers, verified.signers) === undefined
  );
}

/** An acceptance is of any bytes until it is used, and then of the bytes that were deployed. */
export function isAccepted({ accepted = [] }: DeployState, tag: string, digest: string): boolean {
  const found = accepted.find((one) => one.tag === tag);
  return found !== undefined && (found.digest ?? digest) === digest;
}

/** The earlier version that had these bytes, if the live release has replaced it by others. */
export function replacedBefore(
  state: DeployState,
  live: string | undefined,
  { tag, digest }: { tag: string; digest: string },
): string | undefined {
  const running = findRelease(state, live);
  // Some registries state other digests than SHA-256.
  const has = (one: { digest?: string | undefined; verified?: Verification | undefined }) =>
    [one.digest, one.verified?.digest].includes(digest);
  if (running === undefined || has(running) || running.tag === tag) return undefined;
  const before = <T extends { tag: string }>(all: readonly T[]): readonly T[] =>
    all.slice(
      0,
      Math.max(
        all.findLastIndex((one) => one.tag === running.tag),
        0,
      ),
    );
  const earlier = [...before(state.known), ...before(state.releases)];
  return earlier.find((one) => one.tag !== tag && has(one))?.tag;
}

/** Lets one version pass, whatever its signers; the bytes of an earlier acceptance are forgotten. */
export function acceptTag(
  state: DeployState,
  tag: string,
  { user, message }: Operator,
  now: number,
): DeployState {
  const entry: AcceptedTag = { user, message, at: new Date(now).toISOString(), tag };
  const others = (state.accepted ?? []).filter((one) => one.tag !== tag);
  return { ...state, accepted: [...others, entry].slice(-MAX_ACCEPTED) };
}

/**
 * The state once a version counts as deployed: the signers of the first one are remembered. Those of an accepted version
 * replace them; if it has none, they stay.
 */
export function withTrust(state: DeployState, directory: string, now: number): DeployState {
  const release = findRelease(state, directory);
  if (release?.verified === undefined) return state;
  const { tag, verified } = release;
  const { policy, digest } = verified;
  const signers = policy === AUTO ? verified.signers : [];
  const accepted = state.accepted?.map((one) => (one.tag === tag ? { digest, ...one } : one));
  const isNewlyAccepted = state.accepted?.some((one) => one.tag === tag && !one.digest) ?? false;
  const mayTrust = isNewlyAccepted || (state.signers ?? []).length === 0;
  if (!mayTrust || signers.length === 0) return { ...state, accepted };
  const at = new Date(now).toISOString();
  return { ...state, accepted, signers: signers.map((signer) => ({ ...signer, tag, at })) };
}

/** The signers that a change of the state has added. */
export function newlyTrusted(before: DeployState, after: DeployState): readonly TrustedSigner[] {
  const { signers = [] } = before;
  return (after.signers ?? []).filter((one) => missingSigner([one], signers) !== undefined);
}
