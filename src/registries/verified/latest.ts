import { parseDigest } from "../../core/digest.ts";
import { VerificationError } from "../../core/error.ts";
import type { Proof } from "../../core/proof.ts";
import type { ReadyResolution, Registry, Resolution, ResolveOptions } from "../../core/types.ts";
import type { Subject } from "../../verify/types.ts";
import { openRegistry } from "../open.ts";
import { type OpenPolicy, type OpenRule, openPolicy, type VerifyOptions } from "./policy.ts";

/** An answer, with what was proved about its artifact. */
export type VerifiedResolution =
  | (ReadyResolution & {
      /** What was proved without a download. */
      proofs: readonly Proof[];
      /** The rules that need the bytes of the artifact. {@link openArtifact} verifies them. */
      unproved: readonly string[];
    })
  | Exclude<Resolution, ReadyResolution>;

/**
 * Resolves the newest version, and verifies what needs no download: signatures and checksums of the digest that the
 * registry states. The others are in `unproved`; {@link openArtifact} verifies all of them over the bytes themselves.
 *
 * @param url As for `latest` of `dewy`.
 * @param options As for `latest` of `dewy`, and the policy.
 * @returns The answer, with what was proved.
 * @throws {UnsupportedError} If the policy needs a host.
 * @throws {VerificationError} If the policy does not hold.
 *
 * @example
 * ```ts
 * import { latest } from "dewy/verify";
 *
 * const answer = await latest("ghr://linyows/myapp", {
 *   verify: "checksums",
 *   platform: { os: "linux", arch: "amd64" },
 *   env: {},
 *   fetch: async () => Response.json([]), // a repository without tags and releases
 * });
 * if (answer.kind !== "none") throw new Error(answer.kind);
 * ```
 */
export async function latest(
  url: string,
  options: VerifyOptions & Pick<ResolveOptions, "exclude" | "since" | "tag"> = {},
): Promise<VerifiedResolution> {
  const { exclude, since, tag, ...verified } = options;
  const policy = openPolicy(verified);
  const { verify: _, createHash: __, ...plain } = verified;
  const registry = openRegistry(url, plain);
  const answer = await registry.resolve({ exclude, since, tag, once: true });
  if (answer.kind !== "ready") return answer;
  const signal = options.signal ?? new AbortController().signal;
  return { ...answer, ...(await proveByDigest(answer, registry, policy, signal)) };
}

async function proveByDigest(
  answer: ReadyResolution,
  registry: Registry,
  policy: OpenPolicy,
  signal: AbortSignal,
): Promise<{ proofs: readonly Proof[]; unproved: readonly string[] }> {
  const { rules } = policy;
  const sha256 = rules.length === 0 ? undefined : await digestOf(answer, registry, signal);
  if (sha256 === undefined) return { proofs: [], unproved: rules.map(({ text }) => text) };
  const known = { ...policy.describe(answer, signal), sha256 };
  const proofs: Proof[] = [];
  const unproved: string[] = [];
  for (const rule of rules) {
    const proof = await tryWithoutBytes(rule, known, signal);
    if (proof === undefined) unproved.push(rule.text);
    else proofs.push(proof);
  }
  return { proofs, unproved };
}

/** In lower-case hex; `undefined` if only a download shows it. */
async function digestOf(
  { artifact }: ReadyResolution,
  registry: Registry,
  signal: AbortSignal,
): Promise<string | undefined> {
  const stated = parseDigest(artifact.digest ?? "");
  if (stated?.algorithm === "sha256") return stated.hex;
  return (await registry.digest?.(artifact, { signal }))?.replace(/^sha256:/, "");
}

/** Returns `undefined` if the rule wants to see the bytes. */
async function tryWithoutBytes(
  rule: OpenRule,
  known: Subject,
  signal: AbortSignal,
): Promise<Proof | undefined> {
  let isOpened = false;
  const open = (): never => {
    isOpened = true;
    throw new VerificationError(`Cannot read "${known.name}": it is not downloaded`);
  };
  try {
    return await rule.verify({ ...known, open }, signal);
  } catch (error) {
    if (isOpened) return undefined;
    throw error;
  }
}
