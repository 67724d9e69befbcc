import * as v from "valibot";
import type { Signed } from "../sigstore/keyless.ts";
import type { GitHubRule } from "./rule.ts";

type Attested = Pick<Signed, "identity" | "statement">;

const HOST = "https://github.com";
const ISSUER = "https://token.actions.githubusercontent.com";
/** GitHub itself attests immutable releases: https://docs.github.com/code-security/concepts/supply-chain-security/immutable-releases */
const RELEASES = "https://dotcom.releases.github.com";
const PROVENANCE = "https://slsa.dev/provenance/";
const RELEASE = "https://in-toto.io/attestation/release/";

/** Why an attestation whose signature holds is not one of the rule; `undefined` if it is. */
export function problemOf(attested: Attested, rule: GitHubRule, tag: string): string | undefined {
  const { identity, statement } = attested;
  if (identity.subject === RELEASES && identity.issuer === "") {
    return releaseProblem(statement, rule, tag);
  }
  const { repository, workflow = `${rule.repository}/*` } = rule;
  if (identity.issuer !== ISSUER) return `it is signed by ${identity.subject}, not by a workflow`;
  if (!isSame(identity.repository, `${HOST}/${repository}`)) {
    return `it is of the repository ${identity.repository ?? "(none)"}, not ${repository}`;
  }
  if (!isOfWorkflow(identity.subject, rule)) {
    return `it is signed by ${identity.subject}, not by ${HOST}/${workflow}`;
  }
  // Other statements can say the opposite: that a test has failed.
  if (!statement?.predicateType.startsWith(PROVENANCE)) {
    return `it is of the type ${statement?.predicateType ?? "(none)"}, not ${PROVENANCE}*`;
  }
  return undefined;
}

function isOfWorkflow(subject: string, { repository, workflow }: GitHubRule): boolean {
  const signer = subject.replace(/@.*$/s, "");
  if (workflow !== undefined) return isSame(signer, `${HOST}/${workflow}`);
  return signer.toLowerCase().startsWith(`${HOST}/${repository}/`.toLowerCase());
}

const RELEASE_PREDICATE = v.object({ repository: v.string(), tag: v.string() });

function releaseProblem(
  statement: Attested["statement"],
  { repository, workflow }: GitHubRule,
  tag: string,
): string | undefined {
  if (workflow !== undefined) {
    return `it attests a release, not the workflow ${workflow}`;
  }
  const parsed = v.safeParse(RELEASE_PREDICATE, statement?.predicate);
  if (!statement?.predicateType.startsWith(RELEASE) || !parsed.success) {
    return "the attestation of the release is malformed";
  }
  const { repository: released, tag: releasedTag } = parsed.output;
  if (!isSame(released, repository)) return `it is a release of ${released}, not ${repository}`;
  return releasedTag === tag ? undefined : `it is of the release ${releasedTag}, not ${tag}`;
}

/** GitHub's names are not case-sensitive. */
function isSame(a: string | undefined, b: string): boolean {
  return a?.toLowerCase() === b.toLowerCase();
}
