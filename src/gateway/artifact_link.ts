/**
 * Addresses of artifacts that anybody who has one can download from, for a short time. What they name is signed, so
 * that nothing from outside reaches the registry.
 *
 * @module
 */
import type { Clock } from "../core/clock.ts";
import { encodePath } from "../core/url.ts";

/** What an address is for. */
export interface ArtifactClaim {
  /** The version. */
  tag: string;
  /** The file name. */
  name: string;
  /** The machine it was chosen for: `linux/amd64`. */
  platform: string;
  /** Which bytes: see {@link revisionOf}. */
  revision: string;
}

/** Makes and checks addresses. */
export interface ArtifactLinks {
  /**
   * Makes an address. It stays the same for a while, so that whoever polls sees no change where there is none.
   *
   * @param origin `https://host[:port][/path]` of the gateway.
   * @param claim what it is for.
   * @returns the address, valid for between one and two lifetimes.
   */
  make(origin: string, claim: ArtifactClaim): Promise<string>;
  /**
   * Checks an address.
   *
   * @param url the address that was asked for.
   * @returns what it is for; `undefined` when nobody signed it; `expired` when its time is over.
   */
  read(url: URL): Promise<ArtifactClaim | "expired" | undefined>;
}

/** Where the artifacts are. */
export const ARTIFACTS_PATH = "/artifacts/";
const MAX_KEPT = 512;
/** `platform`, `revision`, `expires` and `signature`. */
const PARAMETERS = 4;
/** How long an address is good at least, in milliseconds; at most it is twice that. */
export const LINK_LIFETIME_MS: number = 5 * 60_000;

/**
 * Signs addresses by HMAC-SHA-256.
 *
 * @param secret the key: at least 32 random bytes. Several gateways that share it understand each other's addresses.
 * @param clock time.
 * @returns the maker and checker.
 * @see https://www.rfc-editor.org/rfc/rfc2104
 */
export function artifactLinks(secret: Uint8Array<ArrayBuffer>, clock: Clock): ArtifactLinks {
  const hmac = { name: "HMAC", hash: "SHA-256" };
  const key = crypto.subtle.importKey("raw", secret, hmac, false, ["sign", "verify"]);
  // A fleet asks for few addresses, but each of them often.
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
    async make(origin, claim) {
      const lifetimes = Math.floor(clock.now() / LINK_LIFETIME_MS) + 2;
      const expires = String((lifetimes * LINK_LIFETIME_MS) / 1000);
      if (expires !== madeFor || made.size >= MAX_KEPT) made.clear();
      madeFor = expires;
      const id = `${claim.revision} ${claim.platform}`;
      const path = made.get(id) ?? pathOf(claim, expires);
      made.set(id, path);
      return origin + (await path);
    },
    async read(url) {
      const [tag, name, ...more] = url.pathname.slice(ARTIFACTS_PATH.length).split("/").map(decode);
      const query = new Map(url.searchParams);
      // A repeated or unknown parameter is not one that was signed.
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

/**
 * A short text that differs when the bytes differ, and gives away nothing of where they are.
 *
 * @param parts what the registry says of the artifact.
 * @returns the text.
 */
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
  // The last character has two bits to spare: one spelling only is ours.
  return toBase64Url(bytes) === text ? bytes : undefined;
}
