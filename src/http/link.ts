/**
 * Reads the URL of the next page from a `Link` header.
 * See https://www.rfc-editor.org/rfc/rfc8288#section-3.
 *
 * @param base the URL of the current page, for relative links.
 */
export function nextLink(header: string | null, base: string | URL): URL | undefined {
  for (const [, target = "", parameters = ""] of (header ?? "").matchAll(
    /<([^>]*)>((?:\s*;\s*[^\s=;,]+(?:\s*=\s*(?:"[^"]*"|[^\s;,"]*))?)*)/g,
  )) {
    const relations = /;\s*rel\s*=\s*(?:"([^"]*)"|([^\s;,"]*))/i.exec(parameters);
    const names = (relations?.[1] ?? relations?.[2] ?? "").toLowerCase().split(/\s+/);
    if (names.includes("next") && URL.canParse(target, base)) return new URL(target, base);
  }
  return undefined;
}
