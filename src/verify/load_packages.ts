import { VerificationError } from "../core/error.ts";
import { messageOf } from "../core/message_of.ts";
import { installCommand, isMissingPackage } from "../core/optional_packages.ts";

export interface OptionalPackages {
  /** The evidence they are for: `Sigstore bundles`. */
  evidence: string;
  /** The versions that dewy is tested with, by name. */
  versions: Readonly<Record<string, string>>;
  /** `import.meta.url` of the module that imports them. */
  moduleUrl: string;
}

/**
 * Imports packages that are optional peer dependencies.
 *
 * @throws {VerificationError} With the command that installs them.
 */
export async function loadPackages<T>(
  { evidence, versions, moduleUrl }: OptionalPackages,
  load: () => Promise<T>,
): Promise<T> {
  try {
    return await load();
  } catch (cause) {
    if (!isMissingPackage(cause)) {
      const message = `Cannot load the packages for ${evidence}: ${messageOf(cause)}`;
      throw new VerificationError(message, { cause, fault: "host" });
    }
    throw new VerificationError(
      `Cannot verify ${evidence}: the packages for them are not installed; install them next to dewy: ${installCommand(versions, moduleUrl)}`,
      { cause, fault: "operator" },
    );
  }
}
