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
import type { Proof } from "../core/proof.ts";
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

/** What was remembered about the app. Only the mode `auto` asks for it. */
export interface GateMemory {
  /** The signers that every release must have; empty before the first verified deploy. */
  signers(): Promise<readonly Signer[]>;
  /** Whether an operator has accepted the release, whatever its signers. */
  isAccepted(subject: Subject): Promise<boolean>;
}

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
  const verifiers = policy.rules.map((rule) => openRule(rule, drivers, context));
  return {
    async verify(subject, signal) {
      const proofs: Proof[] = [];
      for (const verifier of verifiers) proofs.push(await prove(verifier, subject, signal));
      return proofs;
    },
  };
}

function openRule(
  rule: VerifyRule,
  drivers: readonly VerifierDriver[],
  context: VerifyContext,
): Verifier {
  const driver = drivers.find(({ kind }) => kind === rule.kind);
  if (driver !== undefined) return driver.open(rule.value, context);
  throw new ConfigError(
    `Cannot use --verify "${formatRule(rule)}": this runtime does not verify ${rule.kind}; it verifies ${drivers.map(({ kind }) => kind).join(", ")}`,
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

interface Offer {
  kind: VerifierDriver["kind"];
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
  return {
    async verify(subject, signal) {
      const signers = await memory.signers();
      const offers: Offer[] = [];
      for (const driver of drivers) offers.push(await offerOf(driver, subject, context, signal));
      const proofs = offers.flatMap((offer) => offer.proofs);
      const isFree = signers.length === 0 || (await memory.isAccepted(subject));
      const problem = isFree ? undefined : problemOf(subject, signers, offers);
      if (problem !== undefined) throw problem;
      for (const { error } of offers) if (error !== undefined) remark(error, subject, context);
      return proofs;
    },
  };
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
  const offer = offers.find(({ kind }) => kind === missing.kind);
  const others = proved.filter(({ kind }) => kind === missing.kind).map(({ signer }) => signer);
  const reason =
    others.length > 0
      ? `it is signed by ${others.join(", ")}, not by ${missing.signer}`
      : (offer?.error?.message ?? `it has no ${missing.kind} signature of ${missing.signer}`);
  return new VerificationError(
    `Cannot verify "${subject.name}" of ${subject.tag}: ${reason}, which earlier versions had; find out who has published it, and if it is right, run dewy trust accept ${subject.tag}`,
    { cause: offer?.error },
  );
}

/** What auto could not verify, and does not have to. */
function remark(error: DewyError, { tag }: Subject, { emit }: VerifyContext): void {
  emit({
    type: "warning",
    message: "Signature not verified",
    fields: { tag, reason: error.message },
  });
}
