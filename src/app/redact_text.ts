import { redactSecrets } from "../core/secret.ts";
import { redactUrl } from "../core/url.ts";

/**
 * Takes secrets out of a text that dewy did not write itself: the values of secret environment
 * variables, and what `redactUrl` cuts out of URLs.
 *
 * @param text such as the message of an unexpected error.
 * @param env the environment.
 * @returns the text to print.
 */
export function redactText(
  text: string,
  env: Readonly<Record<string, string | undefined>>,
): string {
  const withoutSecrets = redactSecrets(text, env);
  return withoutSecrets.replaceAll(/[A-Za-z][A-Za-z0-9+.-]*:\/\/[^\s"'<>]+/g, (url) =>
    redactUrl(url),
  );
}
