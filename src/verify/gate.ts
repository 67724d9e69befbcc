/**
 * What lets a release pass, or not. The flow of a deploy, `dewy verify` and the library all use it.
 *
 * @module
 */
import {
  AbortedError,
  ConfigError,
  CredentialError,
  DewyError,
  RemoteError,
  VerificationError,
} from "../core/error.ts";
import { messageOf } from "../core/message_of.ts";
import type { Proof, VerifyKind } from "../core/proof.ts";
import { printable, shorten } from "../core/text.ts";
import { formatRule, type VerifyPolicy, type VerifyRule } from "./policy.ts";
import { missingSigner, type Signer, signersOf } from "./signer.ts";
import type { Subject, Verifier, VerifierDriver, VerifyContext } from "./types.ts";

export interface Gate {
  /**
   * Returns what was proved; nothing in the modes `none` and `auto`, if nothing had to be.
   *
   * @throws {VerificationError} If the policy does not hold, or cannot be evaluated now.
   */
  verify(subject: Subject, signal: AbortSignal): Promise<readonly Proof[]>;
}

/** What was remembered about the app. */
export interface GateMemory {
  /** The signers that every release must have; empty before the first verified deploy. */
  signers(): Promise<readonly Signer[]>;
  /** Whether an operator has accepted the release, whatever its signers. */
  isAccepted(subject: Subject): Promise<boolean>;
  /** The earlier version that had the same bytes, if the one that runs has replaced it. */
  replacedBefore?(subject: Subject): Promise<string | undefined>;
}

/** Of what a certificate says. */
const MAX_SHOWN = 300;

/** Without a memory, `auto` never blocks. */
export const NO_MEMORY: GateMemory = {
  signers: async () => [],
  isAccepted: async () => false,
};

/** @throws {ConfigError} If the value of a rule is invalid, or no driver has its kind. */
export function openGate(
  policy: VerifyPolicy,
  drivers: readonly VerifierDriver[],
  context: VerifyContext,
  memory: GateMemory = NO_MEMORY,
): Gate {
  if (policy.mode !== "rules") {
    return policy.mode === "none" ? { verify: async () => [] } : openAuto(drivers, context, memory);
  }
  const isIndex = ({ kind }: VerifyRule): boolean => kind === "index";
  const open = (rule: VerifyRule): Verifier => openRule(rule, drivers, context, verifiers);
  const verifiers: Verifier[] = [];
  for (const rule of policy.rules.filter((one) => !isIndex(one))) verifiers.push(open(rule));
  verifiers.push(...policy.rules.filter(isIndex).map(open));
  return {
    async verify(subject, signal) {
      const proofs: Proof[] = [];
      for (const verifier of verifiers) proofs.push(await prove(verifier, subject, signal));
      if (!(await memory.isAccepted(subject))) await refuseReplaced(subject, memory);
      return proofs;
    },
  };
}

function openRule(
  rule: VerifyRule,
  drivers: readonly VerifierDriver[],
  context: VerifyContext,
  rules: readonly Verifier[],
): Verifier {
  const driver = drivers.find(({ kind }) => kind === rule.kind);
  if (driver !== undefined) return driver.open(rule.value, context, [...rules]);
  throw new ConfigError(
    `Cannot use --verify "${formatRule(rule)}": this runtime does not verify ${rule.kind}; it verifies ${drivers.map(({ kind }) => kind).join(", ")}`,
  );
}

/** The signature of an old version with a known hole is as valid as ever, under whatever tag it is published again. */
async function refuseReplaced(subject: Subject, memory: GateMemory): Promise<void> {
  const { name, tag } = subject;
  const earlier = await memory.replacedBefore?.(subject);
  if (earlier === undefined) return;
  throw new VerificationError(
    `Cannot verify "${name}" of ${tag}: it is ${earlier} again, which was replaced here since; find out who has published it, and if it is right, run dewy trust accept ${tag}`,
  );
}

/** An explicit policy that cannot be evaluated does not hold. */
async function prove(verifier: Verifier, subject: Subject, signal: AbortSignal): Promise<Proof> {
  try {
    return await verifier.verify(subject, signal);
  } catch (error) {
    signal.throwIfAborted();
    throw asUnverified(error, verifier.kind, subject);
  }
}

function asUnverified(error: unknown, kind: string, { name, tag }: Subject): DewyError {
  if (error instanceof VerificationError || error instanceof AbortedError) return error;
  return new VerificationError(
    `Cannot verify "${name}" of ${tag} with ${kind}: ${messageOf(error)}`,
    { cause: error, ...(error instanceof DewyError ? { fault: error.fault } : {}) },
  );
}

/** What a release offers of one kind, as `auto` verifies it. */
export interface Offer {
  kind: VerifyKind;
  proofs: readonly Proof[];
  error?: DewyError;
  /** Whether a service did not answer. */
  isUnanswered?: boolean;
}

function openAuto(
  drivers: readonly VerifierDriver[],
  context: VerifyContext,
  memory: GateMemory,
): Gate {
  const remark = remarks(context);
  return {
    async verify(subject, signal) {
      const signers = await memory.signers();
      const offers = await offersOf(drivers, subject, context, signal);
      const isFree = signers.length === 0 || (await memory.isAccepted(subject));
      const problem = isFree ? undefined : problemOf(subject, signers, offers);
      if (problem !== undefined) throw problem;
      if (!isFree) await refuseReplaced(subject, memory);
      for (const { kind, error } of offers) if (error !== undefined) remark(kind, error, subject);
      return offers.flatMap(({ proofs }) => proofs);
    },
  };
}

export async function offersOf(
  drivers: readonly VerifierDriver[],
  subject: Subject,
  context: VerifyContext,
  signal: AbortSignal,
): Promise<readonly Offer[]> {
  const offers: Offer[] = [];
  for (const driver of drivers) offers.push(await offerOf(driver, subject, context, signal));
  return offers;
}

async function offerOf(
  { kind, offered, isService }: VerifierDriver,
  subject: Subject,
  context: VerifyContext,
  signal: AbortSignal,
): Promise<Offer> {
  try {
    return { kind, proofs: (await offered?.(subject, context, signal)) ?? [] };
  } catch (error) {
    signal.throwIfAborted();
    const isUnanswered = isService === true && isNoAnswer(error);
    return { kind, proofs: [], error: asUnverified(error, kind, subject), isUnanswered };
  }
}

function isNoAnswer(error: unknown): boolean {
  return error instanceof RemoteError || error instanceof CredentialError;
}

/** Every signer that was seen first must have signed, unless its service does not answer. */
function problemOf(
  subject: Subject,
  signers: readonly Signer[],
  offers: readonly Offer[],
): VerificationError | undefined {
  const silent = offers.filter(({ isUnanswered }) => isUnanswered).map(({ kind }) => kind);
  const required = signers.filter(({ kind }) => !silent.includes(kind));
  const proved = signersOf(offers.flatMap(({ proofs }) => proofs));
  const missing = missingSigner(required, proved);
  if (missing === undefined) return undefined;
  const { kind } = missing;
  const others = proved.filter((one) => one.kind === kind).map(({ signer }) => signer);
  const cause = offers.find((offer) => offer.kind === kind)?.error;
  const cannot = `Cannot verify "${subject.name}" of ${subject.tag}`;
  const reason =
    others.length > 0
      ? `${cannot}: it is signed by ${shorten(printable(others.join(", ")), MAX_SHOWN)}`
      : (cause?.message ?? `${cannot}: it has no ${kind} signature`);
  const before = `earlier versions are signed by ${missing.signer}`;
  const advice =
    others.length > 0
      ? "find out who has published it, and if the new signer is right, run"
      : "sign it in CI as before, or, if it is right without a signature, run";
  return new VerificationError(
    `${reason}, but ${before}; ${advice} dewy trust accept ${subject.tag}`,
    { cause },
  );
}

/** Logs what auto could not verify, and does not have to; missing packages once. */
function remarks({ emit }: VerifyContext) {
  const told = new Set<VerifyKind>();
  return (kind: VerifyKind, { fault, message: reason }: DewyError, { tag }: Subject): void => {
    const message = "Signature not verified";
    if (fault !== "operator") emit({ type: "warning", message, fields: { tag, reason } });
    else if (!told.has(kind)) emit({ type: "driver", scheme: kind, message, fields: { reason } });
    told.add(kind);
  };
}
