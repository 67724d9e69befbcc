import { request as send } from "node:http";
import { Readable } from "node:stream";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Clock, systemClock } from "../../src/core/clock.ts";
import { createHandler } from "../../src/handler/mod.ts";
import { missingRadosgw, type Radosgw, startRadosgw } from "../peers/radosgw.ts";

const missing = missingRadosgw();
const title = `a handler in front of radosgw${missing === undefined ? "" : ` (${missing})`}`;
const NAME = "app ä+&%2F_linux_amd64.tar.gz";
const HOST = "s3.example.com";
const DOWNLOAD = "https://versions.example.com/app/download/linux-amd64";

describe.skipIf(missing !== undefined)(title, () => {
  let gateway: Radosgw;
  beforeAll(async () => {
    gateway = await startRadosgw();
    const client = await gateway.createBucket("releases");
    const bytes = new TextEncoder().encode("0123456789");
    await client.put(`my app/v1.10.0/${NAME}`, bytes, "application/gzip");
    await client.put("my app/v1.9.0/app_linux_amd64.tar.gz", bytes, "application/gzip");
  });
  afterAll(() => gateway?.stop());

  /** Reaches the gateway under a public name, which its signatures cover. */
  const asPublic: typeof fetch = async (input, init) => {
    const { method, url, headers } = new Request(input, init);
    const { host, pathname, search } = new URL(url);
    expect(host).toBe(HOST);
    return new Promise((resolve, reject) => {
      const { hostname, port } = new URL(gateway.endpoint);
      const options = { hostname, port, method, path: pathname + search };
      send({ ...options, headers: { ...Object.fromEntries(headers), host } }, (answer) => {
        const body = new Response(
          Readable.toWeb(answer) as ReadableStream<Uint8Array<ArrayBuffer>>,
        );
        resolve(
          new Response(body.body, {
            status: answer.statusCode ?? 500,
            headers: new Headers(
              Object.entries(answer.headersDistinct).flatMap(([name, values = []]) =>
                values.map((value): [string, string] => [name, value]),
              ),
            ),
          }),
        );
      })
        .on("error", reject)
        .end();
    });
  };

  const handler = (clock: Clock = systemClock, redirect = true) =>
    createHandler({
      registries: { app: "s3://default/releases/my%20app" },
      endpoint: `https://${HOST}`,
      env: {
        AWS_ACCESS_KEY_ID: gateway.user.accessKeyId,
        AWS_SECRET_ACCESS_KEY: gateway.user.secretAccessKey,
      },
      platform: { os: "linux", arch: "amd64" },
      fetch: asPublic,
      clock,
      redirect,
    });

  const linkOf = async (clock?: Clock): Promise<URL> => {
    const response = await handler(clock)(new Request(DOWNLOAD));
    expect(response.status).toBe(302);
    return new URL(response.headers.get("location") ?? "");
  };

  test("redirects to a link that a stranger can open, also a part of it", async () => {
    const link = await linkOf();
    expect(link.searchParams.get("X-Amz-Expires")).toBe("300");
    expect(await (await asPublic(link)).text()).toBe("0123456789");
    const part = await asPublic(link, { headers: { range: "bytes=4-" } });
    expect([part.status, await part.text()]).toEqual([206, "456789"]);
  });

  test("signs a link for one file, and for five minutes", async () => {
    const other = await linkOf();
    other.pathname = "/releases/my%20app/v1.9.0/app_linux_amd64.tar.gz";
    expect((await asPublic(other)).status).toBe(403);
    const earlier = { ...systemClock, now: () => systemClock.now() - 301_000 };
    expect((await asPublic(await linkOf(earlier))).status).toBe(403);
    const current = { ...systemClock, now: () => systemClock.now() - 240_000 };
    expect((await asPublic(await linkOf(current))).status).toBe(200);
  });

  test("streams what it does not redirect to", async () => {
    const response = await handler(systemClock, false)(new Request(DOWNLOAD));
    expect([response.status, await response.text()]).toEqual([200, "0123456789"]);
  });
});
