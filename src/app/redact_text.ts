import { redactUrl } from "../core/url.ts";

const SECRET_NAME = /TOKEN|SECRET|PASSWORD|PRIVATE_KEY|CREDENTIAL|ACCESS_KEY|SESSION/i;

/**
 * Takes secrets out of a text that dewy did not write itself: the values of secret environment
 * variables, and what {@link redactUrl} cuts out of URLs.
 *
 * @param text such as the message of an unexpected error.
 * @param env the environment.
 * @returns the text to print.
 */
export function redactText(
  text: string,
  env: Readonly<Record<string, string | undefined>>,
): string {
  let redacted = text;
  for (const [name, value] of Object.entries(env)) {
    if (value !== undefined && value.length >= 6 && SECRET_NAME.test(name)) {
      redacted = redacted.replaceAll(value, "…");
    }
  }
  return redacted.replaceAll(/[A-Za-z][A-Za-z0-9+.-]*:\/\/[^\s"'<>]+/g, (url) => redactUrl(url));
}
