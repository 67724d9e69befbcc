import { systemClock } from "../../core/clock.ts";
import { ConfigError } from "../../core/error.ts";
import type { Proof } from "../../core/proof.ts";
import type { Artifact, ReadyResolution } from "../../core/types.ts";
import { openGate } from "../../verify/gate.ts";
import { formatRule, parsePolicy, type VerifyRule } from "../../verify/policy.ts";
import { readFilesOf } from "../../verify/read_files.ts";
import { VERIFIERS } from "../../verify/table.ts";
import type { CreateHash, Subject, VerifyContext } from "../../verify/types.ts";
import type { HostServices } from "../driver.ts";
import type { RegistryOptions } from "../load.ts";
import { openArtifact } from "../open.ts";

/** Options of {@link latest} and {@link openArtifact}. */
export interface VerifyOptions extends RegistryOptions, HostServices {
  /**
   * What must hold, as for `--verify`: `checksums`, `minisign=KEY`, `ssh=ALLOWED_SIGNERS`, `sigstore-key=PEM`. With
   * several, all of them. Keys are given as text, or as a file where `readTextFile` is set. Defaults to `none`.
   */
  verify?: string | readonly string[] | undefined;
  /**
   * Creates hashes: on a host `createHash` of `node:crypto`. Defaults to hashes in JavaScript, which take about twenty
   * times as long.
   */
  createHash?: CreateHash | undefined;
}

/** A kind of verification that needs a host. Its code is `config`. */
export class UnsupportedError extends ConfigError {
  /** The name of the class. */
  override readonly name: string = "UnsupportedError";
}

/** The rules of a policy, ready for one release after the other. */
export interface OpenPolicy {
  rules: readonly OpenRule[];
  /** Everything about a release except its bytes. */
  describe(
    answer: Pick<ReadyResolution, "release" | "artifact" | "files">,
    signal: AbortSignal,
  ): Omit<Subject, "sha256">;
  createHash: CreateHash | undefined;
}

export interface OpenRule extends VerifyRule {
  /** As it was given. */
  text: string;
  /** @throws {VerificationError} If it does not hold. */
  verify(subject: Subject, signal: AbortSignal): Promise<Proof>;
}

/** @throws {UnsupportedError} If a rule needs a host. */
export function openPolicy({ verify, createHash, ...options }: VerifyOptions): OpenPolicy {
  const context = contextOf(options, createHash);
  return {
    rules: rulesOf(verify).map((rule) => openRule(rule, context)),
    createHash,
    describe: ({ release: { tag }, artifact, files = [] }, signal) => ({
      tag,
      name: artifact.name,
      size: artifact.size,
      files: files.some(({ name }) => name === artifact.name) ? files : [artifact, ...files],
      read: readFilesOf({
        registry: { open: (file, open) => openFile(file, { ...options, ...open }) },
        clock: context.clock,
        signal,
      }),
    }),
  };
}

export function openFile(
  { url }: Artifact,
  options: Parameters<typeof openArtifact>[1],
): Promise<ReadableStream<Uint8Array>> {
  return openArtifact(url, options);
}

function rulesOf(verify: VerifyOptions["verify"]): readonly VerifyRule[] {
  const values = typeof verify === "string" ? [verify] : (verify ?? []);
  if (values.length === 0) return [];
  const policy = parsePolicy(values);
  if (policy.mode === "rules") return policy.rules;
  if (policy.mode === "none") return [];
  throw new UnsupportedError(
    'Cannot verify with "auto" here: it needs the memory of an instance; name what releases must have',
  );
}

function openRule(rule: VerifyRule, context: VerifyContext): OpenRule {
  if (!VERIFIERS.some(({ kind }) => kind === rule.kind)) {
    throw new UnsupportedError(
      `Cannot verify with "${rule.kind}" here: it needs a host; the library verifies ${VERIFIERS.map(({ kind }) => kind).join(", ")}, and the command-line program all kinds`,
    );
  }
  const gate = openGate({ mode: "rules", rules: [rule] }, VERIFIERS, context);
  return {
    ...rule,
    text: formatRule(rule),
    async verify(subject, signal) {
      const [proof] = await gate.verify(subject, signal);
      if (proof === undefined) throw new TypeError(`${rule.kind} has verified nothing`);
      return proof;
    },
  };
}

function contextOf(
  { fetch, clock = systemClock, emit = () => {}, readTextFile }: VerifyOptions,
  createHash: CreateHash | undefined,
): VerifyContext {
  return {
    fetch: fetch ?? ((input, init) => globalThis.fetch(input, init)),
    clock,
    emit,
    readTextFile,
    createHash,
  };
}
