import { ConfigError } from "../core/error.ts";
import type { Version } from "../core/types.ts";
import { compileCalver, parseCalver } from "./calver.ts";
import type { Constraint, ConstraintTest } from "./constraint.ts";
import {
  comparePreRelease,
  emptyScan,
  parseSemver,
  scanSemver,
  type TagScan,
  type TagScanner,
} from "./semver.ts";

/** How to parse tags. */
export interface VersionOptions {
  /** A CalVer format such as `YYYY.0M.MICRO`. Defaults to SemVer 2.0.0. */
  calver?: string;
}

/** Filters for {@link latestTag}. */
export interface LatestTagOptions extends VersionOptions {
  /** A range of versions, from `loadConstraint`. Defaults to any version. */
  constraint?: Constraint;
  /** Whether to include pre-releases. Defaults to false. */
  preRelease?: boolean;
  /** The exact build metadata of the version. Defaults to any. */
  slot?: string;
  /** Tags to skip. Defaults to none. */
  exclude?: Iterable<string>;
}

export type TagRules = Omit<LatestTagOptions, "constraint">;

export type TagVerdict =
  | "newest" // of all tags offered so far
  | "older" // than, or equal to, an earlier tag
  | "no-version"
  | "slot"
  | "pre-release"
  | "constraint"
  | "excluded";

/**
 * Parses a tag as SemVer 2.0.0 with an optional lower-case `v`, or as CalVer.
 *
 * @returns the version; `undefined` if the tag is not one.
 * @throws {ConfigError} If the CalVer format has no specifier.
 *
 * @example
 * ```ts
 * import { parseVersion } from "dewy";
 *
 * const version = parseVersion("v1.2.3-rc.1+blue");
 * if (version?.preRelease !== "rc.1" || version.buildMetadata !== "blue") throw new Error("misread");
 * if (parseVersion("latest") !== undefined) throw new Error("not a version");
 * ```
 */
export function parseVersion(tag: string, options: VersionOptions = {}): Version | undefined {
  const calver = options.calver ?? "";
  return calver === "" ? parseSemver(tag) : parseCalver(tag, calver);
}

/** The version of an image tag: `+` is not allowed there, so `v1.2.0_blue` means `v1.2.0+blue`. */
export function versionOf(tag: string, calver: string): string {
  const at = tag.lastIndexOf("_");
  if (at < 0) return tag;
  const version = `${tag.slice(0, at)}+${tag.slice(at + 1)}`;
  return parseVersion(version, { calver })?.buildMetadata === tag.slice(at + 1) ? version : tag;
}

/**
 * Compares two tags by precedence, ignoring `v` and build metadata.
 *
 * @returns -1 if `a` is older, 1 if it is newer, 0 for equal precedence.
 * @throws {ConfigError} If a tag is not a version, or the format is invalid.
 *
 * @example
 * ```ts
 * import { compareVersions } from "dewy";
 *
 * if (compareVersions("v1.10.0", "v1.9.0") !== 1) throw new Error("numbers are compared as numbers");
 * if (compareVersions("1.0.0-rc.1", "1.0.0") !== -1) throw new Error("a pre-release comes before");
 * ```
 */
export function compareVersions(a: string, b: string, options: VersionOptions = {}): -1 | 0 | 1 {
  return compareParsed(readOrThrow(a, options), readOrThrow(b, options));
}

function readOrThrow(tag: string, options: VersionOptions): Version {
  const version = parseVersion(tag, options);
  if (version === undefined) {
    const form = options.calver ? `of the calver format "${options.calver}"` : "of SemVer 2.0.0";
    throw new ConfigError(`Cannot compare "${tag}": not a version ${form}`);
  }
  return version;
}

export function compareParsed(
  a: Pick<Version, "segments" | "preRelease">,
  b: Pick<Version, "segments" | "preRelease">,
): -1 | 0 | 1 {
  return compareSegments(a.segments, b.segments) || comparePreRelease(a.preRelease, b.preRelease);
}

function compareSegments(a: readonly number[], b: readonly number[]): -1 | 0 | 1 {
  const length = Math.max(a.length, b.length);
  for (let nth = 0; nth < length; nth++) {
    const left = a[nth] ?? 0;
    const right = b[nth] ?? 0;
    if (left !== right) return left < right ? -1 : 1;
  }
  return 0;
}

export class NewestTag {
  tag: string | undefined = undefined;
  /** Whether another tag is of the same version. */
  isTied = false;
  readonly #scan: TagScanner;
  readonly #preRelease: boolean;
  readonly #slot: string;
  readonly #satisfies: ConstraintTest | undefined;
  readonly #exclude: ReadonlySet<string>;
  #current: TagScan;
  #best: TagScan;

  constructor(options: TagRules = {}, satisfies?: ConstraintTest) {
    const calver = options.calver ?? "";
    const format = calver === "" ? undefined : compileCalver(calver);
    this.#scan = format?.scan ?? scanSemver;
    this.#current = emptyScan(format?.specifiers.length ?? 3);
    this.#best = emptyScan(format?.specifiers.length ?? 3);
    this.#preRelease = options.preRelease ?? false;
    this.#slot = options.slot ?? "";
    this.#exclude = new Set(options.exclude ?? []);
    this.#satisfies = satisfies;
  }

  offer(tag: string, isPreRelease = false): TagVerdict {
    const scan = this.#current;
    if (!this.#scan(tag, scan)) return "no-version";
    if (this.#slot !== "" && tag.slice(scan.buildStart) !== this.#slot) return "slot";
    if (!this.#preRelease && (isPreRelease || scan.preEnd > scan.preStart)) return "pre-release";
    const suffix = tag.slice(scan.preStart, scan.preEnd);
    if (this.#satisfies?.(scan.segments, suffix) === false) return "constraint";
    if (this.#exclude.has(tag)) return "excluded";
    const order = this.tag === undefined ? 1 : this.#compareToBest(tag);
    this.isTied = order === 0 || (order < 0 && this.isTied);
    if (order <= 0) return "older";
    this.#current = this.#best;
    this.#best = scan;
    this.tag = tag;
    return "newest";
  }

  #compareToBest(tag: string): -1 | 0 | 1 {
    const { segments, preStart, preEnd } = this.#current;
    const best = this.#best;
    const order = compareSegments(segments, best.segments);
    if (order !== 0) return order;
    return comparePreRelease(
      tag.slice(preStart, preEnd),
      (this.tag ?? "").slice(best.preStart, best.preEnd),
    );
  }
}
