import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

/**
 * Why a peer cannot be started here; `undefined` when it can. With `DEWY_REQUIRE_PEERS=1` the reason is thrown, so
 * that a suite cannot be skipped unnoticed.
 *
 * @param programs what it is made of.
 * @param packages the Debian packages that have them.
 * @returns the reason, for the name of what is skipped.
 */
export function missingPeer(programs: readonly string[], packages: string): string | undefined {
  const missing = programs.filter((program) => !isInstalled(program));
  if (missing.length === 0) return undefined;
  const reason = `skipped: ${missing.join(", ")} not installed (apt-get install ${packages})`;
  if (process.env.DEWY_REQUIRE_PEERS === "1") {
    throw new Error(`DEWY_REQUIRE_PEERS=1, but ${reason}`);
  }
  return reason;
}

function isInstalled(program: string): boolean {
  return (process.env.PATH ?? "").split(delimiter).some((directory) => {
    try {
      accessSync(join(directory, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
