import { shorten } from "../core/text.ts";
import type { Resolution } from "../core/types.ts";
import { isChecksumList } from "../platform/artifact_kind.ts";
import { formatPlatform, normalizePlatform } from "../platform/platform.ts";
import type { TagVerdict } from "../version/version.ts";
import type { Policy } from "./resolve.ts";

const SHOWN = 5;
const MAX_SHOWN_LENGTH = 80;

interface Seen {
  count: number;
  names: string[];
}

/** Counts the verdicts on the tags of a listing, with a few examples of each. */
export class TagTally {
  total = 0;
  readonly #seen = new Map<string, Seen>();
  readonly #unusable = new Set<string>();

  add(tag: string, verdict: TagVerdict): void {
    this.total++;
    this.#see(verdict, tag);
    if (verdict === "slot")
      this.#see("slots", tag.includes("+") ? tag.slice(tag.indexOf("+") + 1) : "none");
  }

  addUnusable(tag: string, why: string): void {
    this.total++;
    this.#unusable.add(why);
    this.#see("unusable", tag);
  }

  get unusableReasons(): string {
    return [...this.#unusable].join(", ");
  }

  of(kind: TagVerdict | "unusable" | "slots"): Seen {
    return this.#seen.get(kind) ?? { count: 0, names: [] };
  }

  #see(kind: string, name: string): void {
    const seen = this.#seen.get(kind) ?? { count: 0, names: [] };
    seen.count++;
    if (seen.names.length < SHOWN && !seen.names.includes(name)) seen.names.push(name);
    this.#seen.set(kind, seen);
  }
}

/** The resolution if no listed tag passes: what was listed, and what would help. */
export function describeFiltered(tally: TagTally, policy: Policy): Resolution {
  const versions = tally.total - tally.of("no-version").count;
  const reason = tally.total === 0 ? "empty" : versions === 0 ? "no-version" : "filtered";
  const seen =
    reason === "empty"
      ? "nothing is published yet"
      : [...describeVerdicts(tally, policy)].join("; ");
  return {
    kind: "none",
    reason,
    message: `Cannot resolve "${policy.url}": no valid versioned object found: ${seen}`,
  };
}

function* describeVerdicts(tally: TagTally, policy: Policy): Generator<string> {
  const noVersion = tally.of("no-version");
  if (noVersion.count > 0) {
    const form =
      policy.calver === "" ? "SemVer such as v1.2.3" : `of the calver format "${policy.calver}"`;
    yield `${count(noVersion, "tag")} ${noVersion.count === 1 ? "is not a version" : "are not versions"} (expected ${form})`;
  }
  const slot = tally.of("slot");
  if (slot.count > 0) {
    const others = tally
      .of("slots")
      .names.map((name) => printable(name))
      .join(", ");
    yield `${count(slot, "version")} ${be(slot)} not of slot "${policy.slot}", slots seen: ${others}`;
  }
  const preRelease = tally.of("pre-release");
  if (preRelease.count > 0) {
    yield `${count(preRelease, "version")} ${be(preRelease)} pre-release; set pre-release=true to include them`;
  }
  const constraint = tally.of("constraint");
  if (constraint.count > 0)
    yield `${count(constraint, "version")} outside of constraint "${policy.constraint}"`;
  const excluded = tally.of("excluded");
  if (excluded.count > 0)
    yield `${count(excluded, "version")} excluded (marked bad, skipped, too young, or not complete yet)`;
  const unusable = tally.of("unusable");
  if (unusable.count > 0)
    yield `${count(unusable, "tag")} ruled out by the registry (${tally.unusableReasons})`;
}

function count(seen: Seen, noun: string): string {
  return `${seen.count} ${noun}${seen.count === 1 ? "" : "s"} (${list(seen.names, seen.count)})`;
}

function be(seen: Seen): string {
  return seen.count === 1 ? "is" : "are";
}

export function describeMissing(
  tag: string,
  names: readonly string[],
  policy: Policy,
  problem: string | undefined,
): string {
  const start = `Cannot resolve "${policy.url}":`;
  const { artifact } = policy;
  if (artifact !== "" && problem !== undefined) {
    return `${start} artifact=${printable(artifact)} selects no file of ${printable(tag)}: ${printable(problem, 400)}`;
  }
  if (artifact !== "") {
    return `${start} artifact not found: ${printable(artifact)} in ${printable(tag)}, ${found(names)}`;
  }
  return `${start} ${describeUnfit(tag, names, policy, problem)}`;
}

/**
 * The message during the grace period of a release without an artifact for this platform if waiting may not help: a file
 * could be the right one, or the release looks complete.
 */
export function describePending(
  tag: string,
  names: readonly string[],
  policy: Policy,
  problem: string | undefined,
): string | undefined {
  // Release tools upload the checksums of all files last.
  const list = names.find(isChecksumList);
  if (problem === undefined && list === undefined) return undefined;
  const unfit =
    policy.artifact === ""
      ? describeUnfit(tag, names, policy, problem)
      : `artifact=${printable(policy.artifact)} selects no file of ${printable(tag)}: ${printable(problem ?? found(names), 400)}`;
  return list === undefined ? unfit : `${unfit}; it looks complete, as it has ${printable(list)}`;
}

function describeUnfit(
  tag: string,
  names: readonly string[],
  policy: Policy,
  problem: string | undefined,
): string {
  const platform = formatPlatform(normalizePlatform(policy.platform));
  const why = problem === undefined ? "" : `; ${printable(problem, 400)}`;
  return `no artifact of ${printable(tag)} matches ${platform}, ${found(names)}${why}`;
}

function found(names: readonly string[]): string {
  return names.length === 0
    ? "it has no files"
    : `found ${list(names.slice(0, SHOWN), names.length)}`;
}

function list(names: readonly string[], total: number): string {
  const more = total - names.length;
  return names.map((name) => printable(name)).join(", ") + (more > 0 ? ` and ${more} more` : "");
}

/** Names are untrusted: strips control characters and limits the length. */
export function printable(name: string, maxLength = MAX_SHOWN_LENGTH): string {
  return shorten(name, maxLength).replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, "?");
}
