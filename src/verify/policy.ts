import { ConfigError } from "../core/error.ts";
import { VERIFY_KINDS, type VerifyKind } from "../core/proof.ts";
import { nearest } from "../core/text.ts";

/** A rule as given: `minisign=RWQ…` */
export interface VerifyRule {
  kind: VerifyKind;
  value: string;
}

export type VerifyPolicy =
  | { mode: "auto" | "none" }
  | { mode: "rules"; rules: readonly VerifyRule[] };

/**
 * Parses the values of `--verify` and of `verify=` in the registry's URL. Defaults to `auto`.
 *
 * @throws {ConfigError} If a kind is unknown, or `auto` or `none` is not alone.
 */
export function parsePolicy(values: readonly string[]): VerifyPolicy {
  const given = [...new Set(values.map((value) => value.trim()))];
  const alone = given.find((value): value is "auto" | "none" => /^(auto|none)$/.test(value));
  if (alone === undefined) {
    return given.length === 0 ? { mode: "auto" } : { mode: "rules", rules: given.map(parseRule) };
  }
  const [other] = given.filter((value) => value !== alone);
  if (other === undefined) return { mode: alone };
  throw new ConfigError(
    `Invalid value for --verify: "${alone}" cannot be combined with "${other}"; give one or the other`,
  );
}

/** The same text for equal policies. */
export function formatPolicy(policy: VerifyPolicy): string {
  return policy.mode === "rules" ? policy.rules.map(formatRule).sort().join(" ") : policy.mode;
}

export function formatRule({ kind, value }: VerifyRule): string {
  return value === "" ? kind : `${kind}=${value}`;
}

function parseRule(text: string): VerifyRule {
  const [, name = "", value = ""] = /^([^=]*)=?(.*)$/s.exec(text) ?? [];
  const kind = VERIFY_KINDS.find((one) => one === name);
  if (kind !== undefined) return { kind, value };
  if (text === "") {
    throw new ConfigError(
      "Invalid value for --verify: it is empty; name what versions must have, or leave it out",
    );
  }
  const known = [...VERIFY_KINDS, "auto", "none"];
  const guess = nearest(name, known);
  const advice = guess === undefined ? `use ${known.join(", ")}` : `did you mean "${guess}"?`;
  throw new ConfigError(`Invalid value for --verify: unknown kind "${name}"; ${advice}`);
}
