// Follows a redirect to another origin with every credential there is. The caller runs the two servers.
import { createHttpClient } from "../../src/client/http.ts";
import { systemClock } from "../../src/core/clock.ts";

/** Headers that must stay with the origin they were meant for. */
export const SECRET_HEADERS: Readonly<Record<string, string>> = {
  authorization: "Bearer secret",
  cookie: "session=secret",
  "proxy-authorization": "Basic secret",
  "private-token": "secret",
  "x-api-key": "secret",
  "x-amz-security-token": "secret",
  "x-amz-content-sha256": "secret",
};

/**
 * Asks for a URL that redirects.
 *
 * @param url the first address.
 * @returns the body of the last answer.
 */
export async function credentialsCase(url: string): Promise<string> {
  const http = createHttpClient({
    // workerd refuses a fetch that lost its receiver.
    fetch: (input, init) => globalThis.fetch(input, init),
    clock: systemClock,
    emit: () => {},
  });
  const sign = async (): Promise<Record<string, string>> => ({ "x-amz-date": "secret" });
  return (await http.text({ url, headers: { ...SECRET_HEADERS, accept: "text/plain" }, sign }))
    .text;
}
