/** Equals the version in package.json. */
export const VERSION = "0.1.0";
/** The commit of the build, stamped by it; empty in a checkout. */
export const COMMIT: string = "";
/** The time of the build as RFC 3339, stamped by it; empty in a checkout. */
export const BUILT_AT: string = "";

export function versionText(version: string, commit: string, builtAt: string, binary = ""): string {
  const stamp = [commit.slice(0, 7), builtAt, binary].filter((part) => part !== "").join(", ");
  return `dewy version: ${version}${stamp === "" ? "" : ` [${stamp}]`}\n`;
}
