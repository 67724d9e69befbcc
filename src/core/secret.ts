const SECRET_NAME = /TOKEN|SECRET|PASSWORD|PASSWD|PRIVATE_KEY|API_KEY|CREDENTIAL/i;
/** Names that end like this hold a path or an id, not the secret itself. */
const HARMLESS_NAME = /_(PATH|FILE|DIR|DIRECTORY|ID)$/i;
/** Shorter values are words that may stand anywhere. */
const MIN_SECRET_LENGTH = 8;

/**
 * Replaces the values of secret environment variables in a text that dewy did not write itself: the
 * output of a hook, the message of a server.
 *
 * @param text any text.
 * @param env environment variables; those named like a token, secret, password or key are secret.
 * @returns the text with `…` in their place.
 */
export function redactSecrets(
  text: string,
  env: Readonly<Record<string, string | undefined>>,
): string {
  let clean = text;
  for (const [name, value] of Object.entries(env)) {
    if (value === undefined || value.length < MIN_SECRET_LENGTH) continue;
    if (isSecret(name, value)) clean = clean.replaceAll(value, "…");
  }
  return clean;
}

function isSecret(name: string, value: string): boolean {
  // Google's own libraries read a path there; the JSON itself is for where there are no files.
  if (name === "GOOGLE_APPLICATION_CREDENTIALS") return value.trimStart().startsWith("{");
  return SECRET_NAME.test(name) && !HARMLESS_NAME.test(name);
}
