import type { CommandContext } from "../agent/context.ts";
import { openVerification } from "../agent/verification.ts";
import { ConfigError } from "../core/error.ts";
import { formatRule, type VerifyPolicy } from "../verify/policy.ts";
import type { ContainerConfig } from "./config.ts";
import { loadImageEvidence } from "./image_evidence.ts";
import type { ImageVerification } from "./replicas/verify_image.ts";

const IMAGE_KINDS: readonly string[] = ["sigstore", "sigstore-key", "github"];

/** Opens the policy of `--verify` for images. Throws a ConfigError if a rule is for files only. */
export async function openImageVerification(
  config: ContainerConfig,
  root: string,
  context: CommandContext,
): Promise<{ policy: VerifyPolicy; verification: ImageVerification | undefined }> {
  const { policy, gate } = await openVerification(config, root, context);
  if (policy.mode === "none") return { policy, verification: undefined };
  if (policy.mode === "rules") requireImageKinds(policy.rules);
  return { policy, verification: { gate, evidenceOf: await loadImageEvidence(config, context) } };
}

function requireImageKinds(rules: (VerifyPolicy & { mode: "rules" })["rules"]): void {
  const other = rules.find(({ kind }) => !IMAGE_KINDS.includes(kind));
  if (other === undefined) return;
  throw new ConfigError(
    `Cannot use --verify "${formatRule(other)}" with dewy container: it is for files; images are verified by ${IMAGE_KINDS.join(", ")}`,
  );
}
