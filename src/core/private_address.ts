/**
 * Recognises internal addresses: this machine, its network, the metadata service of its cloud. A server must not be
 * able to send dewy there.
 *
 * @module
 */

const INNER_NAMES: ReadonlySet<string> = new Set([
  "",
  "localhost",
  "ip6-localhost",
  "ip6-loopback",
  "metadata",
  "metadata.google.internal",
  "instance-data",
  "instance-data.ec2.internal",
]);

// https://www.iana.org/assignments/iana-ipv4-special-registry, https://www.iana.org/assignments/iana-ipv6-special-registry
const INNER_IPV4: readonly (readonly [number, number])[] = [
  [0x00000000, 8], // "this network"; 0.0.0.0 reaches this machine
  [0x0a000000, 8],
  [0x64400000, 10], // shared address space; 100.100.100.200 is a metadata service
  [0x7f000000, 8],
  [0xa9fe0000, 16], // link-local; 169.254.169.254 is the usual metadata service
  [0xac100000, 12],
  [0xc0000000, 24],
  [0xc0a80000, 16],
  [0xe0000000, 4], // multicast
  [0xf0000000, 4], // reserved, and broadcast
];

/** Whether a host name or IP address is internal as written, without a lookup: also as IPv4-mapped IPv6, NAT64 or 6to4. */
export function isPrivateHost(host: string): boolean {
  const name = bareHost(host);
  return INNER_NAMES.has(name) || name.endsWith(".localhost") || isPrivateAddress(name);
}

export function isLoopbackHost(host: string): boolean {
  return /^(localhost|.+\.localhost|127\..*|\[?::1\]?)$/i.test(host) && isPrivateHost(host);
}

export function isPrivateAddress(ip: string): boolean {
  const v4 = readIpv4(ip);
  if (v4 !== undefined) return isInnerIpv4(v4);
  const groups = readIpv6(ip.replace(/%.*$/, ""));
  return groups !== undefined && isInnerIpv6(groups);
}

const METADATA_NAMES = /^(metadata|metadata\.google\.internal|instance-data(\.ec2\.internal)?)$/;

/** Whether a host is link-local or the metadata service of a cloud: nothing is ever published there. */
export function isLinkLocalHost(host: string): boolean {
  const name = bareHost(host);
  if (METADATA_NAMES.test(name)) return true;
  const groups = readIpv6(name.replace(/%.*$/, ""));
  const v4 = readIpv4(name) ?? (groups === undefined ? undefined : embeddedIpv4(groups));
  if (v4 !== undefined) return v4 >>> 16 === 0xa9fe || v4 === 0x646464c8; // 100.100.100.200: Alibaba
  const [a = 0, b = 0] = groups ?? [];
  return (a & 0xffc0) === 0xfe80 || (a === 0xfd00 && b === 0xec2); // fd00:ec2::254: AWS
}

function bareHost(host: string): string {
  return host
    .toLowerCase()
    .replace(/^\[(.*)\]$/, "$1")
    .replace(/\.$/, "");
}

function isInnerIpv4(address: number): boolean {
  return INNER_IPV4.some(([network, bits]) => address >>> (32 - bits) === network >>> (32 - bits));
}

/** The IPv4 address that an IPv6 address stands for, if it stands for one. */
function embeddedIpv4(groups: readonly number[]): number | undefined {
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = groups;
  const last = ((g << 16) | h) >>> 0;
  if (a === 0 && b === 0 && c === 0 && d === 0) {
    // The outdated ::a.b.c.d; ::ffff:a.b.c.d; ::ffff:0:a.b.c.d
    if ((e === 0 && (f === 0 || f === 0xffff)) || (e === 0xffff && f === 0)) return last;
  }
  if (a === 0x64 && b === 0xff9b && c !== 1) return last; // NAT64
  return a === 0x2002 ? ((b << 16) | c) >>> 0 : undefined; // 6to4
}

function isInnerIpv6(groups: readonly number[]): boolean {
  const v4 = embeddedIpv4(groups);
  // :: and ::1 are 0.0.0.0 and 0.0.0.1 here: both in "this network".
  if (v4 !== undefined) return isInnerIpv4(v4);
  const [a = 0, b = 0] = groups;
  if (a === 0x64 && b === 0xff9b) return true; // NAT64, local-use prefix
  const isUniqueLocal = (a & 0xfe00) === 0xfc00;
  const isLinkOrSiteLocal = (a & 0xff80) === 0xfe80;
  return isUniqueLocal || isLinkOrSiteLocal || a >= 0xff00;
}

function readIpv4(text: string): number | undefined {
  const parts = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text)?.slice(1).map(Number);
  if (parts === undefined || parts.some((part) => part > 255)) return undefined;
  return parts.reduce((sum, part) => sum * 256 + part, 0);
}

function readIpv6(text: string): number[] | undefined {
  const halves = text.split("::");
  if (!text.includes(":") || halves.length > 2) return undefined;
  const [head, tail = []] = halves.map(readGroups);
  if (head === undefined || halves.map(readGroups).includes(undefined)) return undefined;
  const missing = 8 - head.length - tail.length;
  if (halves.length === 1 ? missing !== 0 : missing < 1) return undefined;
  return [...head, ...Array.from({ length: missing }, () => 0), ...tail];
}

/** The groups between two `::`; the last one may be dotted IPv4. */
function readGroups(text: string): number[] | undefined {
  if (text === "") return [];
  const groups: number[] = [];
  for (const part of text.split(":")) {
    const v4 = readIpv4(part);
    if (v4 !== undefined) groups.push(v4 >>> 16, v4 & 0xffff);
    else if (/^[0-9a-f]{1,4}$/i.test(part)) groups.push(Number.parseInt(part, 16));
    else return undefined;
  }
  return groups;
}
