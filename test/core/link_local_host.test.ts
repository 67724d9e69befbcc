import { describe, expect, test } from "vitest";
import { isLinkLocalHost, isLoopbackHost, isPrivateHost } from "../../src/core/private_address.ts";

describe("a link-local host or a metadata service", () => {
  test.each([
    ...["metadata", "metadata.google.internal", "METADATA.GOOGLE.INTERNAL.", "instance-data"],
    ...["instance-data.ec2.internal", "169.254.169.254", "169.254.0.1", "100.100.100.200"],
    ...["[fe80::1]", "fe80::1%eth0", "febf::1", "[fd00:ec2::254]", "::ffff:169.254.169.254"],
    ...["::169.254.169.254", "::ffff:0:169.254.169.254", "64:ff9b::169.254.169.254"],
    ...["2002:a9fe:a9fe::1"],
  ])("is %s", (host) => {
    expect(isLinkLocalHost(host)).toBe(true);
  });

  test.each([
    ...["example.com", "my-metadata", "metadata.example.com", "instance-data.example.com", ""],
    ...["localhost", "127.0.0.1", "10.0.0.1", "192.168.0.1", "169.253.1.1", "100.100.100.201"],
    ...["8.8.8.8", "::1", "fd00:ec3::254", "fd01:ec2::254", "fec0::1", "fe00::1", "2001:db8::1"],
    ...["::ffff:10.0.0.1", "64:ff9b:1::169.254.169.254", "1:2:3"],
  ])("is not %j", (host) => {
    expect(isLinkLocalHost(host)).toBe(false);
  });
});

describe("a loopback host", () => {
  test.each(["localhost", "LOCALHOST", "a.b.localhost", "127.0.0.1", "127.8.9.10", "::1", "[::1]"])(
    "is %s",
    (host) => {
      expect(isLoopbackHost(host)).toBe(true);
      expect(isPrivateHost(host)).toBe(true);
    },
  );

  test.each([
    ...["127.example.com", "127.0.0.256", "notlocalhost", "localhost.example.com", ".example.com"],
    ...["10.0.0.1", "0.0.0.0", "::2", "1::1", "[::1].example.com", ""],
  ])("is not %j", (host) => {
    expect(isLoopbackHost(host)).toBe(false);
  });
});

test.each([
  "ip6-localhost",
  "ip6-loopback",
  "metadata",
  "instance-data",
  "instance-data.ec2.internal",
])("%s lies inside of the network", (host) => {
  expect(isPrivateHost(host)).toBe(true);
});
