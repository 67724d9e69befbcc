import type { Registry } from "../../core/types.ts";
import type { OciCredential } from "./auth/credential.ts";

/** Everything a container engine needs to pull an image. */
export interface PullAccess {
  /** The image by digest: `ghcr.io/owner/app@sha256:…`. */
  image: string;
  /** The accepted credential; `undefined` if the registry requires none. Secret. */
  credential: OciCredential | undefined;
  plainHttp: boolean;
}

/** A registry whose artifacts a container engine pulls. */
export interface ImageRegistry extends Registry {
  /**
   * Returns the name of an image by the digest of its manifest, and the credential that the registry accepts now. Throws
   * a CredentialError if it accepts none, a NotFoundError if the image no longer exists.
   */
  pullAccess(digest: string, options?: { signal?: AbortSignal }): Promise<PullAccess>;
}

export function isImageRegistry(registry: Registry): registry is ImageRegistry {
  return "pullAccess" in registry;
}
