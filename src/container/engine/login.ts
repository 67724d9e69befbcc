import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { CredentialError, DewyError, HostError } from "../../core/error.ts";
import { systemReason } from "../../host/files/atomic_file.ts";
import { findOwnDirectory, ownDirectory } from "../../host/files/own_directory.ts";
import type { OciCredential } from "../../registries/oci/auth/credential.ts";
import type { EngineName } from "./engine.ts";

/** An entry of `auths` in Docker's config.json; Podman's auth.json has the same format. */
interface EngineLogin {
  auth?: string;
  identitytoken?: string;
  registrytoken?: string;
}

/** The names that `mkdtemp` makes. */
const LOGIN = /^login-[A-Za-z0-9]{6}$/;

/** @see https://github.com/docker/cli/blob/master/cli/config/types/authconfig.go */
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
      // Podman ignores a token without a user name.
      return { auth: base64("<token>:"), identitytoken: credential.token };
    case "bearer":
      if (engine === "podman") {
        throw new CredentialError(
          "Cannot pull with a registrytoken: podman does not support it; use a user name with a password or token",
        );
      }
      return { registrytoken: credential.token };
  }
}

export async function withLoginDirectory<T>(
  parent: string,
  use: (directory: string) => Promise<T>,
): Promise<T> {
  const directory = await makeDirectory(parent);
  try {
    return await use(directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** Removes login directories left by a dewy process that was killed during a pull. */
export async function removeLogins(parent: string): Promise<void> {
  const found = await findOwnDirectory(parent);
  if (found === undefined) return;
  const names = await readdir(found).catch((error: unknown) => {
    throw new HostError(`Cannot read the directory ${parent}`, { cause: error });
  });
  for (const name of names) {
    if (LOGIN.test(name)) await rm(join(found, name), { recursive: true, force: true });
  }
}

export async function writePrivateJson(path: string, value: unknown): Promise<void> {
  await writeFile(path, JSON.stringify(value), { mode: 0o600, flag: "wx" });
}

async function makeDirectory(parent: string): Promise<string> {
  try {
    return await mkdtemp(join(await ownDirectory(parent, 0o700), "login-"));
  } catch (cause) {
    if (cause instanceof DewyError) throw cause;
    const reason = systemReason(cause);
    throw new HostError(`Cannot make a directory for a login in ${parent}: ${reason}`, { cause });
  }
}

function base64(text: string): string {
  return Buffer.from(text, "utf8").toString("base64");
}
