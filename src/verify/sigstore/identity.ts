import { ConfigError } from "../../core/error.ts";
import type { SignerIdentity } from "../../core/proof.ts";

/** Whose signatures a rule accepts. */
export interface IdentityRule {
  identity: string;
  issuer: string;
  /** Why a signer is not the one; `undefined` if it is. */
  problem(signer: SignerIdentity): string | undefined;
}

const SYNTAX = "sigstore=IDENTITY,ISSUER";
const EXAMPLE =
  "sigstore=https://github.com/acme/app/.github/workflows/release.yml,https://token.actions.githubusercontent.com";

/** Parses `IDENTITY,ISSUER`. @throws {ConfigError} */
export function parseIdentityRule(value: string): IdentityRule {
  const comma = value.lastIndexOf(",");
  const [identity, issuer] = [value.slice(0, comma).trim(), value.slice(comma + 1).trim()];
  if (comma < 0 || identity === "" || !/^https?:\/\/[^\s/]/.test(issuer)) {
    throw new ConfigError(
      `Invalid value for --verify: ${SYNTAX} needs who signs, and the URL of the issuer of its token, such as ${EXAMPLE}`,
    );
  }
  const isMatch = identityMatcher(identity);
  return {
    identity,
    issuer,
    problem(signer) {
      if (isMatch(signer.subject) && signer.issuer === issuer) return undefined;
      const wanted = signer.issuer === issuer ? identity : `${identity} of ${issuer}`;
      const found =
        signer.issuer === issuer ? signer.subject : `${signer.subject} of ${signer.issuer}`;
      return `it is signed by ${found}, not by ${wanted}`;
    },
  };
}

/**
 * Matches subjects of certificates: exactly; by a glob, in which `*` is any text without `/` and `@`, and `**` is any
 * text; and, if the identity is a URL without `@`, with any ref behind it.
 */
export function identityMatcher(identity: string): (subject: string) => boolean {
  const parts = identity.split(/(\*\*|\*)/);
  // In https://name@host/, the part before @ is not a workflow.
  const isWorkflow = /^https?:\/\/[^/@]+\/[^@]+$/.test(identity);
  return (subject) =>
    [...endsOf(parts, subject)].some(
      (end) =>
        end === subject.length || (isWorkflow && subject[end] === "@" && end + 1 < subject.length),
    );
}

/** Where the parts of a glob can end in a text that starts with them. */
function endsOf(parts: readonly string[], text: string): ReadonlySet<number> {
  let ends = new Set([0]);
  for (const part of parts) {
    const next = new Set<number>();
    for (const start of ends) {
      if (part === "*" || part === "**") {
        for (let end = start; end <= text.length; end += 1) {
          next.add(end);
          if (part === "*" && /[/@]/.test(text[end] ?? "/")) break;
        }
      } else if (text.startsWith(part, start)) {
        next.add(start + part.length);
      }
    }
    ends = next;
  }
  return ends;
}
