import { hostname } from "node:os";
import type { Secrets } from "../host/files/secret_file.ts";
import { text } from "./answer.ts";

export interface Access {
  /** That of `--admin-host`. */
  host: string;
  /** Absent without `--admin-token-file`; the server then listens on loopback. */
  tokens?: { current(): Promise<Secrets> } | undefined;
  /** Whether `/metrics` needs no token. */
  metricsPublic: boolean;
}

/** Returns the response to a request that is refused, and `undefined` for one that is allowed. */
export async function refusalOf(request: Request, access: Access): Promise<Response | undefined> {
  const url = new URL(request.url);
  if (!isOwnHost(url.hostname, access)) {
    const names =
      access.tokens === undefined
        ? "localhost or a loopback address"
        : "the host name or an IP address of this machine, or --admin-host";
    return text(403, `The Host "${url.hostname}" is refused: use ${names}; a proxy has to set it`);
  }
  if (isForeign(request, url)) return text(403, "Requests of other origins are refused");
  if (access.tokens === undefined || isPublic(url.pathname, access)) return undefined;
  if (hasToken(request.headers, await access.tokens.current())) return undefined;
  const challenge = { "www-authenticate": 'Basic realm="dewy", charset="UTF-8"' };
  return text(401, "A token is required, as a bearer token or as the password", challenge);
}

function isPublic(path: string, { metricsPublic }: Access): boolean {
  return path === "/healthz" || (path === "/metrics" && metricsPublic);
}

/**
 * With DNS rebinding, a name of the attacker resolves to this machine. Its own names and loopback do not belong to an
 * attacker, and IP addresses are not resolved; the latter are allowed only where the token protects, as they may be
 * those of a network in front of this machine.
 */
function isOwnHost(name: string, { host, tokens }: Access): boolean {
  if (/^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(name)) return true;
  if (tokens === undefined) return false;
  if (/^(\d+\.\d+\.\d+\.\d+|\[.*\])$/.test(name)) return true;
  const [own = ""] = hostname().toLowerCase().split(".");
  return name === host.toLowerCase() || name === own || name.startsWith(`${own}.`);
}

/** A web page can make the browser send requests here. `Origin` and `Sec-Fetch-Site` reveal them. */
function isForeign({ headers }: Request, { origin, pathname }: URL): boolean {
  if ((headers.get("origin") ?? origin) !== origin) return true;
  const site = headers.get("sec-fetch-site") ?? "none";
  return site !== "none" && site !== "same-origin" && !(pathname === "/" && isLink(headers));
}

/** Another page may link to this one: it cannot read what the browser then shows. */
function isLink(headers: Headers): boolean {
  return (
    headers.get("sec-fetch-mode") === "navigate" && headers.get("sec-fetch-dest") === "document"
  );
}

function hasToken(headers: Headers, tokens: Secrets): boolean {
  const authorization = headers.get("authorization") ?? "";
  const [, scheme = "", credentials = ""] = /^(bearer|basic) +(\S+) *$/i.exec(authorization) ?? [];
  return tokens.includes(scheme.toLowerCase() === "basic" ? passwordOf(credentials) : credentials);
}

/** https://www.rfc-editor.org/rfc/rfc7617 */
function passwordOf(credentials: string): string {
  const decoded = Buffer.from(credentials, "base64").toString();
  return decoded.slice(decoded.indexOf(":") + 1);
}
