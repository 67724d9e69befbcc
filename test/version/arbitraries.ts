import fc from "fast-check";

const number = (): fc.Arbitrary<string> =>
  fc.oneof(
    { weight: 8, arbitrary: fc.nat({ max: 12 }).map(String) },
    { weight: 1, arbitrary: fc.maxSafeNat().map(String) },
  );
const alphanumeric = (): fc.Arbitrary<string> =>
  fc.oneof(
    fc.constantFrom("alpha", "beta", "rc", "rc1", "rc10", "-", "-1", "A", "x-y", "0a"),
    fc.stringMatching(/^[0-9A-Za-z-]{0,6}[A-Za-z-][0-9A-Za-z-]{0,6}$/),
  );
const identifier = (): fc.Arbitrary<string> =>
  fc.oneof(fc.nat({ max: 20 }).map(String), fc.nat({ max: 2 ** 31 }).map(String), alphanumeric());

/** A pre-release without its `-`, or the empty text. */
export const preRelease = (): fc.Arbitrary<string> =>
  fc.array(identifier(), { maxLength: 4 }).map((parts) => parts.join("."));

/** A tag that is a version by SemVer 2.0.0, with or without `v`. */
export const semverTag = (): fc.Arbitrary<string> =>
  fc
    .tuple(
      fc.constantFrom("", "v"),
      fc.tuple(number(), number(), number()),
      preRelease(),
      fc.constantFrom("", "", "blue", "green", "blue.5", "01"),
    )
    .map(
      ([v, core, pre, build]) =>
        `${v}${core.join(".")}${pre === "" ? "" : `-${pre}`}${build === "" ? "" : `+${build}`}`,
    );

/** A version with one small thing wrong, or not. */
const nearlyVersion = (): fc.Arbitrary<string> =>
  fc
    .tuple(
      semverTag(),
      fc.nat(),
      fc.constantFrom(
        "",
        "0",
        ".",
        "-",
        "+",
        "v",
        "V",
        "=",
        " ",
        "x",
        "_",
        "9999999999999999",
        "\n",
        "é",
      ),
      fc.nat({ max: 1 }),
    )
    .map(([tag, place, inserted, removed]) => {
      const at = place % (tag.length + 1);
      return tag.slice(0, at) + inserted + tag.slice(at + removed);
    });

/** Any tag: versions, near misses, and noise. */
export const anyTag = (): fc.Arbitrary<string> =>
  fc.oneof(
    { weight: 3, arbitrary: semverTag() },
    { weight: 6, arbitrary: nearlyVersion() },
    { weight: 1, arbitrary: fc.string() },
    { weight: 1, arbitrary: fc.stringMatching(/^[v=]{0,2}[0-9.]{0,8}[-+.0-9a-z]{0,8}$/) },
  );
