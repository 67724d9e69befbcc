import type { Registry } from "../../core/types.ts";
import type { OciCredential } from "./auth/credential.ts";

/** What a container engine needs to pull an image as dewy polls for it. */
export interface PullAccess {
  /** The image by digest: `ghcr.io/owner/app@sha256:…`. */
  image: string;
  /** What the registry accepted; `undefined`: it asked for nothing. Secret. */
  credential: OciCredential | undefined;
  /** The registry is spoken to over plain HTTP. */
  plainHttp: boolean;
}

/** A registry whose artifacts a container engine pulls. */
export interface ImageRegistry extends Registry {
  /**
   * Finds out how an image is pulled.
   *
   * @param digest the digest of its manifest.
   * @param options ends the call.
   * @returns its name, and the credential that the registry accepts now.
   * @throws CredentialError when it accepts none; NotFoundError when the image is gone.
   */
  pullAccess(digest: string, options?: { signal?: AbortSignal }): Promise<PullAccess>;
}

/**
 * @param registry any registry.
 * @returns whether it is one of images.
 */
export function isImageRegistry(registry: Registry): registry is ImageRegistry {
  return "pullAccess" in registry;
}
