/** One way to sign in that a server offers. */
export interface Challenge {
  /** The scheme in lower case: `basic`, `bearer`. */
  scheme: string;
  /** Its parameters; names in lower case, the first of a repeated one. */
  parameters: ReadonlyMap<string, string>;
}

const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const SCHEME = new RegExp(`^(${TOKEN})(?=[\\s,]|$)`);
// Servers are seen to leave the quotes away where the grammar wants them: realm=https://….
const PARAMETER = new RegExp(
  `^[\\s,]*(${TOKEN})\\s*=\\s*(?:"((?:[^"\\\\]|\\\\.)*)"|([^\\s,"]*))`,
  "s",
);
const TOKEN68 = /^\s+[A-Za-z0-9._~+/-]+=*(?=\s*(?:,|$))/;

/**
 * Reads `WWW-Authenticate`: several challenges, commas within quotes, escaped quotes.
 *
 * @param header the header's value; several headers joined by commas.
 * @returns the challenges, in the server's order; what cannot be read is left out.
 * @see https://www.rfc-editor.org/rfc/rfc9110#section-11.6.1
 */
export function parseChallenges(header: string): Challenge[] {
  const challenges: Challenge[] = [];
  let rest = header;
  const take = (pattern: RegExp): RegExpExecArray | undefined => {
    const found = pattern.exec(rest) ?? undefined;
    if (found !== undefined) rest = rest.slice(found[0].length);
    return found;
  };
  for (;;) {
    take(/^[\s,]+/);
    if (rest === "") return challenges;
    const scheme = take(SCHEME)?.[1];
    if (scheme === undefined) {
      take(/^[^,]+/);
      continue;
    }
    const parameters = new Map<string, string>();
    challenges.push({ scheme: scheme.toLowerCase(), parameters });
    if (take(TOKEN68) !== undefined) continue;
    for (let found = take(PARAMETER); found !== undefined; found = take(PARAMETER)) {
      const [, name = "", quoted, bare = ""] = found;
      const key = name.toLowerCase();
      if (!parameters.has(key)) parameters.set(key, quoted?.replace(/\\(.)/gs, "$1") ?? bare);
    }
  }
}
