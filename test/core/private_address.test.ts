import { describe, expect, test } from "vitest";
import { isPrivateAddress, isPrivateHost } from "../../src/core/private_address.ts";
import { parseImageReference } from "../../src/registries/oci/image_reference.ts";

describe("private addresses", () => {
  test.each([
    "0.0.0.0",
    "10.255.255.255",
    "100.64.0.1",
    "100.127.255.255",
    "127.8.9.10",
    "169.254.169.254",
    "172.16.0.0",
    "172.31.255.255",
    "192.0.0.192",
    "192.168.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "0:0:0:0:0:0:0:1",
    "::127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:a00:1",
    "0:0:0:0:0:ffff:c0a8:1",
    "64:ff9b::10.0.0.1",
    "64:ff9b:1::1",
    "2002:a00:1::1",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1%eth0",
    "febf::1",
    "fec0::1",
    "ff02::1",
  ])("%s is one", (ip) => {
    expect(isPrivateAddress(ip)).toBe(true);
    expect(isPrivateHost(`[${ip}]`)).toBe(true);
  });

  test.each([
    "1.1.1.1",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "169.253.0.1",
    "172.15.255.255",
    "172.32.0.0",
    "192.167.255.255",
    "192.169.0.0",
    "223.255.255.255",
    "2001:4860:4860::8888",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
    "2002:808:808::1",
    "fe00::1",
    "1.2.3",
    "256.1.1.1",
    "1::2::3",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "10.example.com",
    "",
  ])("%j is not a private address", (ip) => {
    expect(isPrivateAddress(ip)).toBe(false);
  });

  test.each(["localhost", "LOCALHOST.", "a.localhost", "metadata.google.internal", ""])(
    "the host %j lies inside",
    (host) => {
      expect(isPrivateHost(host)).toBe(true);
    },
  );

  test.each(["example.com", "localhost.example.com", "notlocalhost", "8.8.8.8"])(
    "the host %s does not, by its name alone",
    (host) => {
      expect(isPrivateHost(host)).toBe(false);
    },
  );
});

describe("the name of an image", () => {
  test.each([
    ["nginx", "docker.io", "library/nginx", "", ""],
    ["o/app:v1", "docker.io", "o/app", "v1", ""],
    ["localhost/app:v1", "localhost", "app", "v1", ""],
    ["h:5000/a/b:v1@sha256:abc", "h:5000", "a/b", "v1", "sha256:abc"],
    ["[::1]:5000/app", "[::1]:5000", "app", "", ""],
  ])("%s", (text, registry, repository, tag, digest) => {
    expect(parseImageReference(text)).toMatchObject({ registry, repository, tag, digest });
  });
});
