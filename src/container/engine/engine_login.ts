import { CredentialError } from "../../core/error.ts";
import type { OciCredential } from "../../registries/oci/auth/credential.ts";
import type { EngineName } from "./engine.ts";

/** One entry of `auths` in Docker's config.json, which Podman's auth.json shares. */
export interface EngineLogin {
  auth?: string;
  identitytoken?: string;
  registrytoken?: string;
}

/**
 * Writes a credential as the engines read it.
 *
 * @param credential who asks; `undefined`: anonymous.
 * @param engine who reads it.
 * @returns the entry.
 * @throws CredentialError when the engine knows no such credential.
 * @see https://github.com/docker/cli/blob/master/cli/config/types/authconfig.go
 */
export function engineLogin(
  credential: OciCredential | undefined,
  engine: EngineName,
): EngineLogin {
  switch (credential?.kind) {
    case undefined:
      return {};
    case "basic":
      return { auth: base64(`${credential.username}:${credential.password}`) };
    case "refresh":
      // Podman reads no token without a user name.
      return { auth: base64("<token>:"), identitytoken: credential.token };
    case "bearer":
      if (engine === "podman") {
        throw new CredentialError(
          "Cannot pull with a registrytoken: podman knows no such login; use a user name with a password or token",
        );
      }
      return { registrytoken: credential.token };
  }
}

function base64(text: string): string {
  return Buffer.from(text, "utf8").toString("base64");
}
