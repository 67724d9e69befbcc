import type { CommandContext } from "../agent/context.ts";
import { loadImageEvidence } from "../agent/open_configured.ts";
import { openVerification } from "../agent/verification.ts";
import { ConfigError } from "../core/error.ts";
import { formatRule, type VerifyPolicy } from "../verify/policy.ts";
import type { ContainerConfig } from "./config.ts";
import type { ImageVerification } from "./replicas/verify_image.ts";

const IMAGE_KINDS: readonly string[] = ["sigstore", "sigstore-key", "github"];

/** Opens the policy of `--verify` for images. */
export async function openImageVerification(
  config: ContainerConfig,
  root: string,
  context: CommandContext,
): Promise<{ policy: VerifyPolicy; verification: ImageVerification | undefined }> {
  const { policy, gate } = await openVerification(config, root, context);
  if (policy.mode === "none") return { policy, verification: undefined };
  requireImageKinds(policy);
  return { policy, verification: { gate, evidenceOf: await loadImageEvidence(config, context) } };
}

/** @throws {ConfigError} If a rule is for files only. */
export function requireImageKinds(policy: VerifyPolicy): void {
  const rules = policy.mode === "rules" ? policy.rules : [];
  const other = rules.find(({ kind }) => !IMAGE_KINDS.includes(kind));
  if (other === undefined) return;
  throw new ConfigError(
    `Cannot use --verify "${formatRule(other)}" with dewy container: it is for files; images are verified by ${IMAGE_KINDS.join(", ")}`,
  );
}
