import { describe, expect, test } from "vitest";
import { identityMatcher, parseIdentityRule } from "../../../src/verify/sigstore/identity.ts";

const WORKFLOW = "https://github.com/acme/app/.github/workflows/release.yml";

describe("an identity", () => {
  test.each([
    // Exactly.
    [`${WORKFLOW}@refs/tags/v1`, `${WORKFLOW}@refs/tags/v1`, true],
    [`${WORKFLOW}@refs/tags/v1`, `${WORKFLOW}@refs/tags/v10`, false],
    [`${WORKFLOW}@refs/tags/v1`, `x${WORKFLOW}@refs/tags/v1`, false],
    [`${WORKFLOW}@refs/tags/v1.2`, `${WORKFLOW}@refs/tags/v1x2`, false],
    ["dev@acme.example", "dev@acme.example", true],
    ["dev@acme.example", "dev@acmexexample", false],
    // Any ref of the workflow.
    [WORKFLOW, `${WORKFLOW}@refs/tags/v1`, true],
    [WORKFLOW, `${WORKFLOW}@refs/heads/main`, true],
    [WORKFLOW, WORKFLOW, true],
    [WORKFLOW, `${WORKFLOW}@`, false],
    [WORKFLOW, `${WORKFLOW}.evil@refs/tags/v1`, false],
    [WORKFLOW, `https://evil.example/${WORKFLOW}@refs/tags/v1`, false],
    // Not the user of a URL or an address.
    ["https://github.com", "https://github.com@evil.example/", false],
    ["https://github.com/", "https://github.com/@evil", false],
    ["dev", "dev@acme.example", false],
    // Globs.
    [`${WORKFLOW}@refs/tags/*`, `${WORKFLOW}@refs/tags/v1`, true],
    [`${WORKFLOW}@refs/tags/*`, `${WORKFLOW}@refs/heads/main`, false],
    [`${WORKFLOW}@refs/tags/*`, `${WORKFLOW}@refs/tags/a/b`, false],
    [`${WORKFLOW}@refs/tags/**`, `${WORKFLOW}@refs/tags/a/b`, true],
    ["https://github.com/acme/*/.github/workflows/release.yml", `${WORKFLOW}@refs/tags/v1`, true],
    [
      "https://github.com/acme/*/.github/workflows/release.yml",
      "https://github.com/acme/a/b/.github/workflows/release.yml@refs/tags/v1",
      false,
    ],
    ["https://github.com/acme/**", `${WORKFLOW}@refs/tags/v1`, true],
    ["https://github.com/acme/**", "https://github.com/acmex/app@refs/tags/v1", false],
    ["*@acme.example", "dev@acme.example", true],
    ["*@acme.example", "dev@evil.example@acme.example", false],
    ["*", "https://github.com/acme", false],
    // Nothing else is a pattern.
    ["https://github.com/acme/app.(x|y)+", "https://github.com/acme/app.(x|y)+@r", true],
    ["https://github.com/acme/app.(x|y)+", "https://github.com/acme/app.x@r", false],
    [`${WORKFLOW}@refs/tags/v1`, `${WORKFLOW}@refs/tags/v1\n`, false],
  ])("%s, signed by %s: %s", (identity, subject, isMatch) => {
    expect(identityMatcher(identity)(subject)).toBe(isMatch);
  });

  test("with many globs takes no time", () => {
    const start = performance.now();
    expect(identityMatcher("**a".repeat(8))("a".repeat(50).concat("b"))).toBe(false);
    expect(performance.now() - start).toBeLessThan(1_000);
  });
});

describe("a rule", () => {
  const ISSUER = "https://token.actions.githubusercontent.com";

  test("is an identity and an issuer, which the last comma separates", () => {
    expect(parseIdentityRule(`a,b@acme.example, ${ISSUER}`)).toMatchObject({
      identity: "a,b@acme.example",
      issuer: ISSUER,
    });
  });

  test("compares the issuer exactly", () => {
    const rule = parseIdentityRule(`${WORKFLOW},${ISSUER}`);
    const subject = `${WORKFLOW}@refs/tags/v1`;
    expect(rule.problem({ subject, issuer: ISSUER })).toBeUndefined();
    for (const issuer of [`${ISSUER}/`, `${ISSUER}.evil.example`, "https://other.example"]) {
      expect(rule.problem({ subject, issuer })).toBe(
        `it is signed by ${subject} of ${issuer}, not by ${WORKFLOW} of ${ISSUER}`,
      );
    }
  });

  test.each(["", WORKFLOW, `${WORKFLOW},`, `,${ISSUER}`, `${WORKFLOW},github`, "a,https://"])(
    "is not %j",
    (value) => {
      expect(() => parseIdentityRule(value)).toThrow(
        expect.objectContaining({
          code: "config",
          message: expect.stringContaining("Invalid value for --verify: sigstore=IDENTITY,ISSUER"),
        }),
      );
    },
  );
});
