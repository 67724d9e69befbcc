import type { Constraint, ConstraintTest } from "./constraint.ts";

/**
 * Loads a range of versions for `latestTag`. The `semver` package, which reads ranges, is loaded only now.
 *
 * @param range A semver range such as `^1.2`, `~1.0` or `>=1 <2`.
 * @returns The range. If it is invalid, `latestTag` throws.
 *
 * @example
 * ```ts
 * import { latestTag, loadConstraint } from "dewy/version";
 *
 * const constraint = await loadConstraint("^1.2");
 * if (latestTag(["v1.1.0", "v1.2.3", "v2.0.0"], { constraint }) !== "v1.2.3") throw new Error("in range");
 * ```
 */
export async function loadConstraint(range: string): Promise<Constraint> {
  const { compileConstraint } = await import("./constraint.ts");
  return (options) => compileConstraint(range, options);
}

/**
 * Compiles the constraint of a policy, if it has one.
 *
 * @throws ConfigError if the constraint is invalid.
 */
export async function compilePolicy(policy: {
  constraint: string;
  calver: string;
  preRelease: boolean;
}): Promise<ConstraintTest | undefined> {
  return policy.constraint === "" ? undefined : (await loadConstraint(policy.constraint))(policy);
}
