import { isIPv4 } from "node:net";

export type ProxyProtocol = "v1" | "v2";

type Endpoint = { address: string; port: number } | undefined;

/** The two ends of a client's connection; without addresses over a unix socket. */
interface ClientAddresses {
  source: Endpoint;
  destination: Endpoint;
}

export function endpoint(address: string | undefined, port: number | undefined): Endpoint {
  return address === undefined || port === undefined ? undefined : { address, port };
}

const V2_SIGNATURE = [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a];
const V2_PROXY = 0x21;
const V2_UNSPEC = 0x00;
const V2_TCP4 = 0x11;
const V2_TCP6 = 0x21;

/** https://www.haproxy.org/download/1.8/doc/proxy-protocol.txt */
export function proxyHeader(version: ProxyProtocol, addresses: ClientAddresses): Uint8Array {
  const ends = sameFamily(addresses);
  return version === "v1" ? textHeader(ends) : binaryHeader(ends);
}

type Ends = ReturnType<typeof sameFamily>;

/** A header has one family: IPv4, or IPv6 if one end has no IPv4 form. */
function sameFamily({ source, destination }: ClientAddresses) {
  if (source === undefined || destination === undefined) return undefined;
  const [from, to] = [plain(source.address), plain(destination.address)];
  const isV4 = isIPv4(from) && isIPv4(to);
  return {
    isV4,
    source: isV4 || !isIPv4(from) ? from : `::ffff:${from}`,
    destination: isV4 || !isIPv4(to) ? to : `::ffff:${to}`,
    sourcePort: source.port,
    destinationPort: destination.port,
  };
}

/** Without the zone of a link-local address; an IPv4 address of a dual-stack socket as IPv4. */
function plain(address: string): string {
  const [unzoned = ""] = address.split("%");
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(unzoned)?.[1];
  return mapped ?? unzoned;
}

function textHeader(ends: Ends): Uint8Array {
  const { isV4, source, destination, sourcePort, destinationPort } = ends ?? {};
  const family = isV4 ? "TCP4" : "TCP6";
  const words = [family, source, destination, sourcePort, destinationPort];
  const text = ends === undefined ? "UNKNOWN" : words.join(" ");
  return new TextEncoder().encode(`PROXY ${text}\r\n`);
}

function binaryHeader(ends: Ends): Uint8Array {
  if (ends === undefined) return new Uint8Array([...V2_SIGNATURE, V2_PROXY, V2_UNSPEC, 0, 0]);
  const bytes = ends.isV4 ? v4Bytes : v6Bytes;
  const payload = [
    ...bytes(ends.source),
    ...bytes(ends.destination),
    ...uint16(ends.sourcePort),
    ...uint16(ends.destinationPort),
  ];
  const family = ends.isV4 ? V2_TCP4 : V2_TCP6;
  return new Uint8Array([...V2_SIGNATURE, V2_PROXY, family, ...uint16(payload.length), ...payload]);
}

function uint16(value: number): number[] {
  return [value >> 8, value & 0xff];
}

function v4Bytes(address: string): number[] {
  return address.split(".").map(Number);
}

function v6Bytes(address: string): number[] {
  const [head = "", tail] = address.split("::");
  const [left, right] = [groups(head), groups(tail ?? "")];
  const missing = Array.from({ length: 16 - left.length - right.length }, () => 0);
  return tail === undefined ? left : [...left, ...missing, ...right];
}

function groups(text: string): number[] {
  if (text === "") return [];
  return text
    .split(":")
    .flatMap((group) =>
      group.includes(".") ? v4Bytes(group) : uint16(Number.parseInt(group, 16)),
    );
}
