/** The rules of `verify=` in a registry's URL, which may be repeated, and the URL without them. */
export function splitUrlRules(url: string): { url: string; rules: readonly string[] } {
  const [, base = url, query = "", rest = ""] = /^([^?#]*)\?([^#]*)(.*)$/s.exec(url) ?? [];
  const pairs = query.split("&");
  const isRule = (pair: string): boolean => /^verify(=|$)/.test(pair);
  if (!pairs.some(isRule)) return { url, rules: [] };
  const others = pairs.filter((pair) => !isRule(pair)).join("&");
  const rules = pairs.filter(isRule).map((pair) => decodeRule(pair.slice("verify=".length)));
  return {
    url: `${base}${others === "" ? "" : `?${others}`}${rest}`,
    rules,
  };
}

const MINISIGN_KEY = /^minisign=RW[\w/ ]{54}$/;

function decodeRule(text: string): string {
  const decoded = new URLSearchParams(`rule=${text}`).get("rule") ?? "";
  // A plus sign in a key is often not escaped, and means a space in a query.
  return MINISIGN_KEY.test(decoded) ? decoded.replaceAll(" ", "+") : decoded;
}
