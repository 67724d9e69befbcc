import type { RequestListener } from "node:http";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Output, ROOT, run, runtimes } from "../../runtime/runtimes.ts";
import { type PrivateNetwork, startPrivateNetwork } from "./private_network.ts";

const FILE = "app_linux_amd64.tar.gz";

/** A public bucket with one version. */
const bucket: RequestListener = (request, response) => {
  const prefix = new URL(request.url ?? "", "https://bucket.test").searchParams.get("prefix");
  const content =
    prefix === "app/"
      ? "<CommonPrefixes><Prefix>app/v1.2.3/</Prefix></CommonPrefixes>"
      : `<Contents><Key>${prefix}${FILE}</Key><Size>6</Size><LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>`;
  const head = "<IsTruncated>false</IsTruncated><EncodingType>url</EncodingType>";
  response.setHeader("content-type", "application/xml");
  response.end(
    request.method === "GET" ? `<ListBucketResult>${head}${content}</ListBucketResult>` : "",
  );
};

let network: PrivateNetwork;
beforeAll(async () => {
  network = await startPrivateNetwork(bucket);
});
afterAll(() => network.close());

describe.each(runtimes)("dewy check on $name", (runtime) => {
  async function check(flags: string[], env: Record<string, string>): Promise<Output> {
    const [program, ...args] = await runtime.command(join(ROOT, "cli.ts"));
    const endpoint = new URL(network.tlsUrl).origin;
    const registry = `s3://eu-west-1/releases/app?endpoint=${endpoint}&artifact=${FILE}`;
    const keys = { AWS_ACCESS_KEY_ID: "id", AWS_SECRET_ACCESS_KEY: "secret" };
    return run(program, [...args, "check", registry, "--json", ...flags], {
      env: { ...keys, ...env },
    });
  }

  test("reaches a registry with a private CA through the proxy", async () => {
    network.takeProxied();
    const { code, stdout, stderr } = await check(["--ca-file", network.caFile], {
      HTTPS_PROXY: `http://${network.proxy}`,
    });
    expect({ code, ...JSON.parse(stdout || "{}") }, stderr).toMatchObject({
      code: 0,
      kind: "ready",
      tag: "v1.2.3",
    });
    expect(network.takeProxied()).toContain(`CONNECT ${new URL(network.tlsUrl).host}`);
  });

  test("exits 1 and names the flag if the CA file is missing", async () => {
    const { code, stdout } = await check(["--ca-file", "/no/such.pem"], {});
    expect(code).toBe(1);
    expect(JSON.parse(stdout).message).toContain('Cannot use --ca-file "/no/such.pem"');
  });
});
