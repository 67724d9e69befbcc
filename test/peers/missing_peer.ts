import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

/**
 * Returns why a peer cannot be started here, with the Debian packages to install, or `undefined` if
 * it can. With `DEWY_REQUIRE_PEERS=1` it throws the reason, so that no suite is skipped unnoticed.
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
