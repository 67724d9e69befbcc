/**
 * Which proxy a call goes through. The three runtimes read the proxy variables differently (Node not at
 * all, Deno without the ports and the `*` of NO_PROXY, Bun without its networks), so dewy decides itself.
 *
 * @module
 */
import { ConfigError } from "../../core/error.ts";
import { redactUrl } from "../../core/url.ts";

/** Finds the proxy of a URL; `undefined` to connect directly. */
export type ProxyChoice = (url: URL) => URL | undefined;

/** Environment variables by name. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** Answers only this machine; a proxy would ask for the credentials of its own machine, or get no answer. */
const METADATA_HOSTS = new Set(["169.254.169.254", "169.254.170.2", "metadata.google.internal"]);

const PROXY_VARIABLES = ["https_proxy", "http_proxy", "all_proxy"] as const;

/**
 * Tells whether any proxy is set, so that a host without one pays nothing.
 *
 * @param env environment variables.
 * @returns true when HTTP_PROXY, HTTPS_PROXY or ALL_PROXY has a value, in either case.
 */
export function hasProxy(env: Environment): boolean {
  return PROXY_VARIABLES.some((name) => read(env, name) !== undefined);
}

/**
 * Checks every proxy variable that has a value, so that a mistake shows at start and not at some later call.
 *
 * @param env environment variables.
 * @throws ConfigError naming the variable whose value is no proxy dewy can use.
 */
export function checkProxies(env: Environment): void {
  for (const name of PROXY_VARIABLES) proxyOf(env, name);
}

/**
 * Finds the proxy for a URL, as curl does: lower case wins over upper case, `ALL_PROXY` stands in for
 * the other two, `NO_PROXY` excepts hosts; the metadata services of clouds are always asked directly. https://everything.curl.dev/usingcurl/proxies/env.html
 *
 * @param url the URL that is asked for.
 * @param env environment variables.
 * @returns the proxy's URL, with the credentials it may have; `undefined` to connect directly.
 * @throws ConfigError when the variable holds no `http://` or `https://` URL.
 */
export function proxyFor(url: URL, env: Environment): URL | undefined {
  if (METADATA_HOSTS.has(url.hostname)) return undefined;
  const own = url.protocol === "https:" ? "https_proxy" : "http_proxy";
  const name = read(env, own) === undefined ? "all_proxy" : own;
  const proxy = proxyOf(env, name);
  return proxy === undefined || isExcepted(url, read(env, "no_proxy") ?? "") ? undefined : proxy;
}

function proxyOf(env: Environment, name: (typeof PROXY_VARIABLES)[number]): URL | undefined {
  const value = read(env, name);
  if (value === undefined) return undefined;
  const written = value.includes("://") ? value : `http://${value}`;
  // A percent sign that begins no code is one; every runtime makes something else of it.
  const text = written.replace(/%(?![0-9a-f]{2})/gi, "%25");
  const proxy = URL.canParse(text) ? new URL(text) : undefined;
  if (proxy?.protocol === "http:" || proxy?.protocol === "https:") return proxy;
  throw new ConfigError(
    `Cannot use ${name.toUpperCase()} "${redactUrl(text)}": expected http://<host>:<port> or https://<host>:<port>`,
  );
}

function read(env: Environment, name: string): string | undefined {
  return env[name]?.trim() || env[name.toUpperCase()]?.trim() || undefined;
}

function isExcepted(url: URL, noProxy: string): boolean {
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const port = url.port || (url.protocol === "https:" ? "443" : "80");
  return noProxy
    .toLowerCase()
    .split(/[\s,]+/)
    .some((entry) => entry !== "" && matches(entry, host, port));
}

function matches(entry: string, host: string, port: string): boolean {
  if (entry === "*") return true;
  if (entry.includes("/")) return isInNetwork(host, entry);
  const [, name = "", onlyPort] =
    /^\[?(.*?)\]?(?::(\d+))?$/.exec(isBareIpv6(entry) ? `[${entry}]` : entry) ?? [];
  if (onlyPort !== undefined && onlyPort !== port) return false;
  const domain = name.replace(/^\*?\./, "");
  return host === domain || host.endsWith(`.${domain}`);
}

function isBareIpv6(entry: string): boolean {
  return !entry.startsWith("[") && entry.indexOf(":") !== entry.lastIndexOf(":");
}

/** IPv4 only: networks of IPv6 addresses are not in use in this variable. */
function isInNetwork(host: string, network: string): boolean {
  const [base = "", bits = ""] = network.split("/");
  const address = ipv4(host);
  const start = ipv4(base);
  if (address === undefined || start === undefined || !/^\d{1,2}$/.test(bits)) return false;
  const size = 2 ** (32 - Math.min(32, Number(bits)));
  return Math.floor(address / size) === Math.floor(start / size);
}

function ipv4(text: string): number | undefined {
  if (!/^\d{1,3}(\.\d{1,3}){3}$/.test(text)) return undefined;
  return text.split(".").reduce((value, part) => value * 256 + Number(part), 0);
}
