import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { systemClock } from "../../../src/core/clock.ts";
import { latest, openRegistry, type RegistryOptions } from "../../../src/registries/open.ts";
import type { S3Client } from "../../../src/registries/s3/client.ts";
import { cacheAt } from "../../cache/context.ts";
import { cacheContract } from "../../contract/cache.ts";
import { ODD_NAMES } from "../../contract/odd_names.ts";
import { registryContract } from "../../contract/registry.ts";
import { runCase, runtimes } from "../../runtime/runtimes.ts";
import { freePort } from "../ports.ts";
import { type S3Publisher, s3Publisher } from "../s3_publisher.ts";
import { missingGoPeer, type Serving, serveGoPeer } from "./peers.ts";

const missing = missingGoPeer("versitygw");
const REGION = "eu-test-1";
const USER = { accessKeyId: "DEWYTESTKEY", secretAccessKey: "secret-of-the-test-key" };
const PLATFORM = { os: "linux", arch: "amd64" };
const FILE = "app_linux_amd64.tar.gz";

describe.skipIf(missing !== undefined)(
  `versitygw${missing === undefined ? "" : ` (${missing})`}`,
  () => {
    let server: Serving;
    let publisher: S3Publisher;
    let endpoint = "";
    let env: Record<string, string> = {};
    let buckets = 0;

    beforeAll(async () => {
      const address = `127.0.0.1:${await freePort()}`;
      endpoint = `http://${address}`;
      const at = (directory: string, name: string): string => join(directory, name);
      server = await serveGoPeer("versitygw", endpoint, async (directory) => {
        for (const name of ["data", "metadata"]) await mkdir(at(directory, name));
        return {
          args: [
            ...["--port", address, "--region", REGION, "--quiet"],
            ...["posix", "--sidecar", at(directory, "metadata"), at(directory, "data")],
          ],
          env: { ROOT_ACCESS_KEY: USER.accessKeyId, ROOT_SECRET_KEY: USER.secretAccessKey },
        };
      });
      publisher = s3Publisher({ region: REGION, endpoint }, USER);
      env = {
        AWS_ACCESS_KEY_ID: USER.accessKeyId,
        AWS_SECRET_ACCESS_KEY: USER.secretAccessKey,
        AWS_ENDPOINT_URL: endpoint,
      };
    });
    afterAll(() => server?.stop());

    async function bucketWith(tag: string): Promise<{ bucket: string; client: S3Client }> {
      const bucket = `bucket-${++buckets}`;
      const client = await publisher.createBucket(bucket);
      await client.put(`app/${tag}/${FILE}`, "bytes", "application/octet-stream");
      return { bucket, client };
    }

    registryContract("s3 (versitygw)", {
      now: Date.now,
      oddNames: ODD_NAMES,
      skip: {
        backdating: "a server stamps objects itself",
        network: "asked of the fake",
        many: "1,100 uploads take long; the fake has them",
      },
      async setup() {
        const bucket = `bucket-${++buckets}`;
        const client = await publisher.createBucket(bucket);
        return {
          url: `s3://${REGION}/${bucket}/my/app`,
          options: { env, platform: PLATFORM },
          async publish(releases) {
            for (const { tag, files = {} } of releases) {
              for (const [name, body] of Object.entries(files)) {
                await client.put(`my/app/${tag}/${name}`, body, "application/octet-stream");
              }
            }
          },
          async remove(tag) {
            for await (const { objects } of client.list({ prefix: `my/app/${tag}/` })) {
              for (const { key } of objects) {
                if (!key.includes("/shipped_to_")) await publisher.send("DELETE", bucket, key);
              }
            }
          },
        };
      },
    });

    cacheContract("s3 (versitygw)", {
      atomic: true,
      async open() {
        const bucket = `bucket-${++buckets}`;
        await publisher.createBucket(bucket);
        return cacheAt(`s3://${REGION}/${bucket}/team/app`, { env });
      },
    });

    test("does not write over a record", async () => {
      const { bucket, client } = await bucketWith("v1.0.0");
      const record = "app/v1.0.0/shipped_to_web_server_at_20260501T020304.056000000Z.txt";
      await client.put(record, "first", "text/plain");
      const registry = openRegistry(`s3://${REGION}/${bucket}/app`, { env, platform: PLATFORM });
      const at = new Date(Date.UTC(2026, 4, 1, 2, 3, 4, 56));
      const deployed = { id: "x", tag: "v1.0.0", command: "server", host: "web", at };
      await registry.report?.(deployed);
      await registry.report?.({ ...deployed, nanoseconds: 1 });
      expect(await new Response(await client.get(record)).text()).toBe("first");
      expect(await client.head(record.replace("056000000", "056000001"))).toBeDefined();
    });

    const LATE = { clock: { ...systemClock, now: () => Date.now() - 3_600_000 } };
    const refusals: [string, string, Record<string, string>, RegistryOptions, RegExp][] = [
      [
        "a wrong secret",
        REGION,
        { AWS_SECRET_ACCESS_KEY: "wrong" },
        {},
        /SignatureDoesNotMatch.*check AWS_SECRET_ACCESS_KEY$/,
      ],
      [
        "an unknown access key",
        REGION,
        { AWS_ACCESS_KEY_ID: "unknown" },
        {},
        /the service does not know the access key; check AWS_ACCESS_KEY_ID/,
      ],
      [
        "a wrong region",
        "xx-wrong-9",
        {},
        {},
        /the region "xx-wrong-9" is wrong.*write s3:\/\/eu-test-1\/bucket-\d+\/…$/,
      ],
      [
        "a session token of no session",
        REGION,
        { AWS_SESSION_TOKEN: "bogus" },
        {},
        /InvalidToken.*check AWS_SESSION_TOKEN$/,
      ],
      ["a wrong clock", REGION, {}, LATE, /RequestTimeTooSkewed.*clock is wrong; set it$/],
      [
        "no credentials",
        REGION,
        { AWS_ACCESS_KEY_ID: "", AWS_SECRET_ACCESS_KEY: "" },
        {},
        /sent without credentials: set AWS_ACCESS_KEY_ID/,
      ],
    ];
    test.each(refusals)("rejects %s with an error that says what to do", async (...given) => {
      const [, region, variables, options, words] = given;
      const { bucket } = await bucketWith("v1.0.0");
      const answer = latest(`s3://${region}/${bucket}/app`, {
        platform: PLATFORM,
        env: { ...env, ...variables },
        ...options,
      });
      await expect(answer).rejects.toThrow(words);
      await expect(answer).rejects.not.toThrow(USER.secretAccessKey);
    });

    test("names a missing bucket", async () => {
      const answer = latest(`s3://${REGION}/no-such-bucket/app`, { platform: PLATFORM, env });
      await expect(answer).rejects.toThrow(/there is no bucket "no-such-bucket"/);
    });

    test.each(runtimes)("is found through an AWS profile on $name", async (runtime) => {
      const { bucket } = await bucketWith("v1.2.3");
      const home = await mkdtemp(join(tmpdir(), "dewy-home-"));
      onTestFinished(() => rm(home, { recursive: true }));
      await mkdir(join(home, ".aws"));
      await writeFile(
        join(home, ".aws/config"),
        `[profile dewy]\nservices = test\n[services test]\ns3 =\n  endpoint_url = ${endpoint}\n`,
      );
      await writeFile(
        join(home, ".aws/credentials"),
        `[dewy]\naws_access_key_id = ${USER.accessKeyId}\naws_secret_access_key = ${USER.secretAccessKey}\n`,
      );
      const output = await runCase(runtime, "test/peers/go/s3_profile_case.ts", {
        HOME: home,
        AWS_PROFILE: "dewy",
        REGISTRY: `s3://${REGION}/${bucket}/app`,
      });
      expect(output).toEqual({ code: 0, stdout: "v1.2.3\n", stderr: "" });
    });
  },
);
