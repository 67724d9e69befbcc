/**
 * Signed URLs of artifacts. Any client with such a URL can download, for a short time; the signature keeps input from
 * outside away from the registry.
 *
 * @module
 */
import type { Clock } from "../core/clock.ts";
import { encodePath } from "../core/url.ts";

export interface ArtifactClaim {
  tag: string;
  name: string;
  platform: string;
  revision: string;
}

export type ArtifactLinks = ReturnType<typeof artifactLinks>;

export const ARTIFACTS_PATH = "/artifacts/";
const MAX_KEPT = 512;
/** `platform`, `revision`, `expires` and `signature`. */
const PARAMETERS = 4;
/** The minimum validity of a URL in milliseconds; the maximum is twice that. */
export const LINK_LIFETIME_MS: number = 5 * 60_000;

/**
 * Signs URLs with HMAC-SHA-256. https://www.rfc-editor.org/rfc/rfc2104
 *
 * @param secret at least 32 random bytes. Gateways that share it accept each other's URLs.
 */
export function artifactLinks(secret: Uint8Array<ArrayBuffer>, clock: Clock) {
  const hmac = { name: "HMAC", hash: "SHA-256" };
  const key = crypto.subtle.importKey("raw", secret, hmac, false, ["sign", "verify"]);
  // Many machines request few URLs, each of them often.
  const made = new Map<string, Promise<string>>();
  let madeFor = "";

  const pathOf = async (claim: ArtifactClaim, expires: string): Promise<string> => {
    const signature = await crypto.subtle.sign("HMAC", await key, signed(claim, expires));
    const { tag, name, platform, revision } = claim;
    const query = new URLSearchParams({
      platform,
      revision,
      expires,
      signature: toBase64Url(new Uint8Array(signature)),
    });
    return `${ARTIFACTS_PATH}${encodePath(tag, false)}/${encodePath(name, false)}?${query}`;
  };

  return {
    /**
     * Returns a URL that is valid for one to two lifetimes. It stays the same for a while, so that polling clients do not
     * see a change.
     */
    async make(origin: string, claim: ArtifactClaim): Promise<string> {
      const lifetimes = Math.floor(clock.now() / LINK_LIFETIME_MS) + 2;
      const expires = String((lifetimes * LINK_LIFETIME_MS) / 1000);
      if (expires !== madeFor || made.size >= MAX_KEPT) made.clear();
      madeFor = expires;
      const id = `${claim.revision} ${claim.platform}`;
      const path = made.get(id) ?? pathOf(claim, expires);
      made.set(id, path);
      return origin + (await path);
    },
    /** @returns `undefined` if the signature is invalid. */
    async read(url: URL): Promise<ArtifactClaim | "expired" | undefined> {
      const [tag, name, ...more] = url.pathname.slice(ARTIFACTS_PATH.length).split("/").map(decode);
      const query = new Map(url.searchParams);
      // Repeated and unknown parameters were not signed.
      if (url.searchParams.size !== PARAMETERS || query.size !== PARAMETERS) return undefined;
      const platform = query.get("platform");
      const revision = query.get("revision");
      const expires = query.get("expires");
      const signature = fromBase64Url(query.get("signature") ?? "");
      if (tag === undefined || name === undefined || more.length > 0) return undefined;
      if (platform === undefined || revision === undefined || expires === undefined)
        return undefined;
      if (signature === undefined) return undefined;
      const claim: ArtifactClaim = { tag, name, platform, revision };
      // `verify` compares in constant time. https://www.w3.org/TR/webcrypto/#hmac-operations
      const isOurs = await crypto.subtle.verify(
        "HMAC",
        await key,
        signature,
        signed(claim, expires),
      );
      if (!isOurs) return undefined;
      return Number(expires) * 1000 <= clock.now() ? "expired" : claim;
    },
  };
}

/** A short text that differs if the bytes differ, and does not reveal where they are stored. */
export async function revisionOf(parts: readonly (string | number | undefined)[]): Promise<string> {
  const text = new TextEncoder().encode(JSON.stringify(parts));
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", text));
  return toBase64Url(digest.subarray(0, 16));
}

function signed(claim: ArtifactClaim, expires: string): Uint8Array<ArrayBuffer> {
  const { tag, name, platform, revision } = claim;
  const text = JSON.stringify(["dewy artifact 1", tag, name, platform, revision, expires]);
  return new TextEncoder().encode(text);
}

function decode(part: string): string | undefined {
  try {
    return decodeURIComponent(part);
  } catch {
    return undefined;
  }
}

// https://www.rfc-editor.org/rfc/rfc4648#section-5, without padding
function toBase64Url(bytes: Uint8Array): string {
  const text = btoa(String.fromCharCode(...bytes));
  return text.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

function fromBase64Url(text: string): Uint8Array<ArrayBuffer> | undefined {
  if (!/^[A-Za-z0-9_-]{43}$/.test(text)) return undefined;
  const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  const bytes = Uint8Array.from(binary, (character) => character.charCodeAt(0));
  // The last character has two unused bits: only one spelling is valid.
  return toBase64Url(bytes) === text ? bytes : undefined;
}
