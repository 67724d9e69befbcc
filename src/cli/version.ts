/** The version of dewy, equal to the one in package.json. */
export const VERSION = "0.1.0";
/** The commit it was built from; empty when the build did not say. */
export const COMMIT = "";
/** When it was built, as RFC 3339; empty when the build did not say. */
export const BUILT_AT = "";

/**
 * What `--version` prints.
 *
 * @param version the version.
 * @param commit the commit, cut to seven characters; empty when the build has no stamp.
 * @param builtAt the build's time; empty when the build has no stamp.
 * @returns one line with its newline; without a stamp, only the version.
 */
export function versionText(version: string, commit: string, builtAt: string): string {
  const stamp = [commit.slice(0, 7), builtAt].filter((part) => part !== "").join(", ");
  return `dewy version: ${version}${stamp === "" ? "" : ` [${stamp}]`}\n`;
}
