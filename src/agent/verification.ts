import { createHash } from "node:crypto";
import { readlink } from "node:fs/promises";
import { basename, join } from "node:path";
import type { FetchConfig } from "../cli/flags/assets.ts";
import { isAccepted, replacedBefore } from "../deploy/trust.ts";
import { statePath } from "../host/files/own_paths.ts";
import { readState } from "../host/files/state_file.ts";
import { type Gate, type GateMemory, openGate } from "../verify/gate.ts";
import { parsePolicy, type VerifyPolicy } from "../verify/policy.ts";
import type { VerifierDriver, VerifyContext } from "../verify/types.ts";
import type { CommandContext } from "./context.ts";

type Config = Pick<FetchConfig, "registry" | "verify" | "trustedRoot">;

/** The policy of `--verify` with the gate that applies it. */
export interface Verification {
  policy: VerifyPolicy;
  gate: Gate;
}

/** Opens the verification of an app's releases. Its memory is the app's state. */
export async function openVerification(
  config: Config,
  root: string,
  context: CommandContext,
): Promise<Verification> {
  const policy = parsePolicy(config.verify);
  // These modules are large, and nothing needs them then.
  if (policy.mode === "none") return { policy, gate: openGate(policy, [], hostContext(context)) };
  const cacheDirectory = join(root, ".dewy", "sigstore");
  const { registry, trustedRoot } = config;
  const host = await loadVerifiers(registry, { trustedRoot, cacheDirectory }, context);
  return { policy, gate: openGate(policy, host.drivers, host.context, memoryOf(root)) };
}

/** Loads everything that this machine can verify: releases of a registry, or files. */
export async function loadVerifiers(
  registry: string | undefined,
  more: Pick<VerifyContext, "trustedRoot" | "cacheDirectory">,
  context: CommandContext,
): Promise<{ drivers: readonly VerifierDriver[]; context: VerifyContext }> {
  const [{ HOST_VERIFIERS }, { withRefreshedRoot }, { githubEvidence }] = await Promise.all([
    import("../verify/host_table.ts"),
    import("../verify/sigstore/roots.ts"),
    import("../registries/github/evidence.ts"),
  ]);
  const github = githubEvidence(registry, context.io);
  return {
    drivers: HOST_VERIFIERS,
    context: withRefreshedRoot({ ...hostContext(context), github, ...more }),
  };
}

function hostContext({ clock, fetch, emit, io }: CommandContext): VerifyContext {
  return { clock, fetch, emit, createHash, readTextFile: io.readTextFile };
}

function memoryOf(root: string): GateMemory {
  const state = () => readState(statePath(root));
  return {
    signers: async () => (await state()).signers ?? [],
    isAccepted: async ({ tag, sha256 }) => isAccepted(await state(), tag, `sha256:${sha256}`),
    replacedBefore: async ({ tag, sha256 }) => {
      const live = basename(await readlink(join(root, "current")).catch(() => ""));
      return replacedBefore(await state(), live, { tag, digest: `sha256:${sha256}` });
    },
  };
}
