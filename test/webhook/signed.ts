import { createHmac } from "node:crypto";

/** The example of https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries */
export const EXAMPLE = {
  secret: "It's a Secret to Everybody",
  body: "Hello, World!",
  signature: "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
};

export const SECRET = "f3a1c25b1d4e4f8e9a0b7c6d5e4f3a2b";

export function signatureOf(body: string | Uint8Array, secret: string = SECRET): string {
  return `sha256=${createHmac("sha256", secret).update(body).digest("hex")}`;
}

/** What GitHub sends for a release. */
export function githubHeaders(body: string, event: string = "release"): Record<string, string> {
  return {
    "content-type": "application/json",
    "user-agent": "GitHub-Hookshot/044aadd",
    "x-github-event": event,
    "x-github-delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
    "x-hub-signature-256": signatureOf(body),
  };
}
