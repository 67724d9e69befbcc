import type { ConstraintTest } from "./constraint.ts";

/**
 * Compiles the constraint of a policy, if it has one. Only then the `semver` package is loaded, which would take a
 * tenth of the start-up time.
 *
 * @throws ConfigError if the constraint is invalid.
 */
export async function loadConstraint(policy: {
  constraint: string;
  calver: string;
  preRelease: boolean;
}): Promise<ConstraintTest | undefined> {
  if (policy.constraint === "") return undefined;
  const { compileConstraint } = await import("./constraint.ts");
  return compileConstraint(policy.constraint, policy);
}
