import { ConfigError } from "../../core/error.ts";

/** Whose attestations a rule accepts. */
export interface GitHubRule {
  /** `OWNER/REPO`. */
  repository: string;
  /** `OWNER/REPO/.github/workflows/FILE`; any workflow of the repository without it. */
  workflow?: string | undefined;
}

const SYNTAX = "github=OWNER/REPO[@WORKFLOW]";
// https://docs.github.com/rest/repos/repos: names are ASCII letters, digits, "-", "_" and ".".
const REPOSITORY = /^(?!\.{1,2}\/)[\w.-]{1,100}\/(?!\.{1,2}$)[\w.-]{1,100}$/;
const WORKFLOW =
  /^(?:(?:(?<owner>[\w.-]+\/[\w.-]+)\/)?\.github\/workflows\/)?(?<file>[^/@\s]+\.ya?ml)$/;

/**
 * Parses `OWNER/REPO`, `OWNER/REPO@release.yml`, or `OWNER/REPO@OTHER/REPO/.github/workflows/build.yml` for a reusable
 * workflow of another repository.
 *
 * @throws {ConfigError}
 */
export function parseGitHubRule(value: string): GitHubRule {
  const [repository = "", name, ...more] = value.trim().split("@");
  const { owner = repository, file } = WORKFLOW.exec(name ?? "")?.groups ?? {};
  const isInvalid = !REPOSITORY.test(repository) || more.length > 0;
  if (isInvalid || (name !== undefined && file === undefined)) {
    throw new ConfigError(
      `Invalid value for --verify: ${SYNTAX} needs a repository and, behind @, the file of a workflow without a ref, such as github=acme/app@release.yml`,
    );
  }
  const workflow = file === undefined ? undefined : `${owner}/.github/workflows/${file}`;
  return { repository, workflow };
}
