import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createHostFetch } from "../../../src/host/net/fetch.ts";
import { runCase, runtimes } from "../../runtime/runtimes.ts";
import { type PrivateNetwork, startPrivateNetwork } from "./private_network.ts";

let network: PrivateNetwork;
beforeAll(async () => {
  network = await startPrivateNetwork();
});
afterAll(() => network.close());
beforeEach(() => {
  network.takeProxied();
});

interface Asked {
  answers: string[];
  posted: string;
  warnings: string[];
  native: boolean;
  error?: string;
}

describe.each(runtimes)("createHostFetch on $name", (runtime) => {
  async function ask(
    what: { urls: string[]; caFile?: string },
    env: Record<string, string> = {},
  ): Promise<Asked> {
    const { stdout, stderr, code } = await runCase(runtime, "test/runtime/host_fetch_case.ts", {
      CASE: JSON.stringify(what),
      ...env,
    });
    if (code !== 0) throw new Error(`exit ${code}: ${stderr}`);
    return JSON.parse(stdout) as Asked;
  }

  test("is the runtime's own without proxy and private CA, and refuses the private site", async () => {
    const asked = await ask({ urls: [network.plainUrl, network.tlsUrl] });
    expect(asked).toEqual({
      answers: ["200 hello text/plain", "refused"],
      posted: "echo",
      warnings: [],
      native: true,
    });
  });

  test("trusts the private CA of --ca-file", async () => {
    const asked = await ask({ urls: [network.tlsUrl], caFile: network.caFile });
    expect(asked).toMatchObject({ answers: ["200 hello text/plain"], posted: "echo" });
  });

  test.each(["SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS"])(
    "trusts the private CA of %s",
    async (name) => {
      const asked = await ask({ urls: [network.tlsUrl] }, { [name]: network.caFile });
      expect(asked.answers).toEqual(["200 hello text/plain"]);
    },
  );

  test("trusts the CAs of all three sources together", async () => {
    const asked = await ask(
      { urls: [network.tlsUrl], caFile: network.otherCaFile },
      { NODE_EXTRA_CA_CERTS: network.caFile, SSL_CERT_FILE: network.otherCaFile },
    );
    expect(asked).toMatchObject({ answers: ["200 hello text/plain"], warnings: [] });
  });

  test("does not trust other CAs", async () => {
    const asked = await ask({ urls: [network.tlsUrl], caFile: network.otherCaFile });
    expect(asked.answers).toEqual(["refused"]);
  });

  test("uses the proxies with their credentials, and a tunnel for https", async () => {
    const asked = await ask(
      { urls: [network.plainUrl, network.tlsUrl], caFile: network.caFile },
      {
        HTTP_PROXY: `http://${network.proxy}`,
        https_proxy: `http://me:p%40ss@${network.proxy}`,
      },
    );
    expect(asked).toMatchObject({
      answers: ["200 hello text/plain", "200 hello text/plain"],
      posted: "echo",
    });
    expect(network.takeProxied()).toEqual([
      `GET ${network.plainUrl}`,
      `CONNECT ${new URL(network.tlsUrl).host} Basic ${btoa("me:p@ss")}`,
      `POST ${network.plainUrl}`,
    ]);
  });

  test("accepts a literal percent sign in the proxy's password", async () => {
    const env = { https_proxy: `http://me:100%@${network.proxy}` };
    const asked = await ask({ urls: [network.tlsUrl], caFile: network.caFile }, env);
    expect(asked.answers).toEqual(["200 hello text/plain"]);
    expect(network.takeProxied()[0]).toContain(`Basic ${btoa("me:100%")}`);
  });

  test("uses ALL_PROXY for both kinds of URL", async () => {
    const urls = [network.plainUrl, network.tlsUrl];
    await ask({ urls, caFile: network.caFile }, { ALL_PROXY: network.proxy });
    expect(network.takeProxied()).toHaveLength(3);
  });

  test.each(["*", "127.0.0.1", "127.0.0.1:PORT", "10.0.0.0/8, 127.0.0.0/8"])(
    "goes directly to what NO_PROXY=%s excepts",
    async (pattern) => {
      const noProxy = pattern.replace("PORT", new URL(network.plainUrl).port);
      const asked = await ask(
        { urls: [network.plainUrl] },
        { HTTP_PROXY: `http://${network.proxy}`, NO_PROXY: noProxy },
      );
      expect(asked.answers).toEqual(["200 hello text/plain"]);
      expect(network.takeProxied()).toEqual([]);
    },
  );

  test("uses the proxy if NO_PROXY names another port", async () => {
    await ask(
      { urls: [network.plainUrl] },
      { HTTP_PROXY: `http://${network.proxy}`, no_proxy: "127.0.0.1:1" },
    );
    expect(network.takeProxied()).toHaveLength(2);
  });

  test("refuses a --ca-file that is missing or contains no certificate", async () => {
    const empty = join(network.directory, "empty.pem");
    await writeFile(empty, "no certificate\n");
    const [missing, none] = await Promise.all(
      ["/no/such.pem", empty].map((caFile) => ask({ urls: [network.tlsUrl], caFile })),
    );
    expect(missing?.error).toBe(
      'ConfigError: Cannot use --ca-file "/no/such.pem": no such file or directory; expected a file of PEM certificates',
    );
    expect(none?.error).toContain("it contains no PEM certificate");
  });

  test("warns about a variable with an unusable file, and continues", async () => {
    const asked = await ask({ urls: [network.plainUrl] }, { SSL_CERT_FILE: "/no/such.pem" });
    expect(asked.answers).toEqual(["200 hello text/plain"]);
    expect(asked.warnings).toHaveLength(1);
    expect(asked.warnings[0]).toContain('Cannot use SSL_CERT_FILE "/no/such.pem"');
  });
});

test("createHostFetch refuses a damaged certificate", async () => {
  const caFile = join(network.directory, "damaged.pem");
  await writeFile(caFile, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
  await expect(createHostFetch({ env: {}, caFile })).rejects.toThrow(
    `Cannot use --ca-file "${caFile}": it contains a damaged certificate`,
  );
});

test("createHostFetch refuses an invalid proxy without showing its password", async () => {
  await expect(
    createHostFetch({ env: { HTTPS_PROXY: "socks5://me:secret@proxy:1080" } }),
  ).rejects.toThrow(
    'Cannot use HTTPS_PROXY "socks5://proxy:1080": expected http://<host>:<port> or https://<host>:<port>',
  );
});
