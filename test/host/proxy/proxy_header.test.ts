import { expect, test } from "vitest";
import { proxyHeader } from "../../../src/host/proxy/proxy_header.ts";

const V2 = "0d0a0d0a000d0a515549540a";

function ends(source: string, destination: string): Parameters<typeof proxyHeader>[1] {
  return {
    source: { address: source, port: 56324 },
    destination: { address: destination, port: 443 },
  };
}

function text(source: string, destination: string): string {
  return Buffer.from(proxyHeader("v1", ends(source, destination))).toString();
}

function hex(source: string, destination: string): string {
  return Buffer.from(proxyHeader("v2", ends(source, destination))).toString("hex");
}

test("v1 is a line of text", () => {
  expect(text("192.168.0.1", "192.168.0.11")).toBe(
    "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n",
  );
  expect(text("2001:db8::1", "2001:db8::2")).toBe(
    "PROXY TCP6 2001:db8::1 2001:db8::2 56324 443\r\n",
  );
});

test("an IPv4 client of a dual-stack socket is written as IPv4", () => {
  expect(text("::ffff:10.0.0.1", "::ffff:10.0.0.2")).toBe(
    "PROXY TCP4 10.0.0.1 10.0.0.2 56324 443\r\n",
  );
});

test("zones are omitted, and both ends have the same family", () => {
  expect(text("fe80::1%eth0", "10.0.0.2")).toBe("PROXY TCP6 fe80::1 ::ffff:10.0.0.2 56324 443\r\n");
});

test("v2 is binary", () => {
  expect(hex("192.168.0.1", "192.168.0.11")).toBe(`${V2}2111000cc0a80001c0a8000bdc0401bb`);
  expect(hex("2001:db8::1", "::ffff:10.0.0.2")).toBe(
    `${V2}2121002420010db8000000000000000000000001${"00000000000000000000ffff0a000002"}dc0401bb`,
  );
  expect(hex("1:2:3:4:5:6:7:8", "::")).toBe(
    `${V2}2121002400010002000300040005000600070008${"0".repeat(32)}dc0401bb`,
  );
});

test("a client without an address is UNKNOWN", () => {
  const none = { source: undefined, destination: undefined };
  expect(Buffer.from(proxyHeader("v1", none)).toString()).toBe("PROXY UNKNOWN\r\n");
  expect(Buffer.from(proxyHeader("v2", none)).toString("hex")).toBe(`${V2}21000000`);
});
