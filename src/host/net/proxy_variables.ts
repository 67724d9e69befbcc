import type { Environment } from "../../core/environment.ts";
import { ConfigError } from "../../core/error.ts";
import { redactUrl } from "../../core/url.ts";

/** `undefined` connects directly. */
export type ProxyChoice = (url: URL) => URL | undefined;

/** Metadata services answer only this machine. */
const METADATA_HOSTS = new Set(["169.254.169.254", "169.254.170.2", "metadata.google.internal"]);

const PROXY_VARIABLES = ["https_proxy", "http_proxy", "all_proxy"] as const;

export function hasProxy(env: Environment): boolean {
  return PROXY_VARIABLES.some((name) => read(env, name) !== undefined);
}

export function checkProxies(env: Environment): void {
  for (const name of PROXY_VARIABLES) proxyOf(env, name);
}

/**
 * Like curl: lower case takes precedence over upper case, `ALL_PROXY` is the default for the other
 * two, `NO_PROXY` excludes hosts. The runtimes differ: Node does not read these variables, Deno
 * ignores the ports and the `*` of NO_PROXY, Bun its networks.
 * https://everything.curl.dev/usingcurl/proxies/env.html
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
  // A percent sign without a code is literal; each runtime treats it differently.
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

/** IPv4 only: NO_PROXY is not used with networks of IPv6. */
function isInNetwork(host: string, network: string): boolean {
  const [base = "", bits = ""] = network.split("/");
  const [address, start] = [ipv4(host), ipv4(base)];
  if (address === undefined || start === undefined || !/^\d{1,2}$/.test(bits)) return false;
  const size = 2 ** (32 - Math.min(32, Number(bits)));
  return Math.floor(address / size) === Math.floor(start / size);
}

function ipv4(text: string): number | undefined {
  if (!/^\d{1,3}(\.\d{1,3}){3}$/.test(text)) return undefined;
  return text.split(".").reduce((value, part) => value * 256 + Number(part), 0);
}
