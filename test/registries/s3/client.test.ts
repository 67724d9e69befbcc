import { describe, expect, onTestFinished, test } from "vitest";
import type { AwsContext } from "../../../src/auth/aws_credentials.ts";
import type { DewyEvent } from "../../../src/core/event.ts";
import type { AwsProfile, S3Bucket } from "../../../src/registries/s3/address.ts";
import { createS3Client, type S3Client } from "../../../src/registries/s3/client.ts";
import { fakeClock } from "../../fakes/clock.ts";
import { type StrictFake, strictFake } from "../../fakes/handler.ts";

const AT: S3Bucket = { region: "us-east-1", bucket: "releases", endpoint: "http://s3.test" };
const KEYS: AwsContext = {
  env: { AWS_ACCESS_KEY_ID: "AKIDEXAMPLE", AWS_SECRET_ACCESS_KEY: "secret-of-the-key" },
};
const LIST = "GET /releases?list-type=2&prefix=app%2F&delimiter=%2F&encoding-type=url";

interface World {
  server: StrictFake;
  events: DewyEvent[];
  client: S3Client;
}

function world(
  sources: AwsContext & { awsProfile?: () => Promise<AwsProfile> } = KEYS,
  at: S3Bucket = AT,
): World {
  const server = strictFake();
  onTestFinished(() => server.verify());
  const events: DewyEvent[] = [];
  const clock = fakeClock({ skipUpTo: 20_000 });
  const emit = (event: DewyEvent): void => void events.push(event);
  return {
    server,
    events,
    client: createS3Client(at, { ...sources, fetch: server.fetch, clock, emit }),
  };
}

async function listAll(client: S3Client): Promise<string[]> {
  const names: string[] = [];
  for await (const page of client.list({ prefix: "app/" })) {
    names.push(...page.prefixes, ...page.objects.map(({ key }) => key));
  }
  return names;
}

function listing(inner: string): Response {
  return new Response(`<?xml version="1.0"?><ListBucketResult>${inner}</ListBucketResult>`);
}

function refusal(status: number, code: string, extra = "", headers = {}): Response {
  const xml = `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>words of the server</Message>${extra}</Error>`;
  return new Response(xml, { status, headers });
}

describe("requests to S3", () => {
  test("are signed with SigV4 at the time of the clock, and carry the session token", async () => {
    const { server, client } = world({ env: { ...KEYS.env, AWS_SESSION_TOKEN: "token" } });
    server.on(LIST, listing("<IsTruncated>false</IsTruncated>"));
    await listAll(client);
    const headers = server.requests[0]?.headers;
    expect(headers?.get("authorization")).toMatch(
      /^AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE\/20260102\/us-east-1\/s3\/aws4_request, SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token, Signature=[0-9a-f]{64}$/,
    );
    expect(headers?.get("x-amz-date")).toBe("20260102T030405Z");
    expect(headers?.get("x-amz-security-token")).toBe("token");
  });

  test("are unsigned without credentials, which is reported once", async () => {
    const { server, client, events } = world({ env: {}, awsCredentials: async () => undefined });
    server.on(LIST, listing("<IsTruncated>false</IsTruncated>"), { times: 2 });
    await listAll(client);
    await listAll(client);
    expect(server.requests[0]?.headers.has("authorization")).toBe(false);
    expect(events.filter(({ type }) => type === "anonymous")).toEqual([
      { type: "anonymous", host: "s3.test" },
    ]);
  });

  test("use the machine's credentials if the environment has none", async () => {
    const machine = { accessKeyId: "ROLE", secretAccessKey: "role-secret" };
    const { server, client } = world({ env: {}, awsCredentials: async () => machine });
    server.on(LIST, listing("<IsTruncated>false</IsTruncated>"));
    await listAll(client);
    expect(server.requests[0]?.headers.get("authorization")).toContain("Credential=ROLE/");
  });

  test.each(["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])(
    "do not go out with only %s",
    async (name) => {
      const { client } = world({ env: { [name]: "half" } });
      await expect(listAll(client)).rejects.toMatchObject({ code: "config" });
    },
  );

  test("go to the endpoint of the AWS profile, which is read once, at the first request", async () => {
    let reads = 0;
    const awsProfile = async (): Promise<AwsProfile> => {
      reads += 1;
      return { name: "default", s3Endpoint: "http://profile.test" };
    };
    const { server, client } = world({ ...KEYS, awsProfile }, { ...AT, endpoint: "" });
    expect(reads).toBe(0);
    for (const key of ["a", "b"]) {
      server.on(`HEAD http://profile.test/releases/${key}`, new Response(null));
      expect(await client.head(key)).toBeDefined();
    }
    expect(reads).toBe(1);
  });

  test("are retried when the server asks to slow down", async () => {
    const { server, client, events } = world();
    server.on(LIST, refusal(503, "SlowDown"), { times: 2 });
    server.on(LIST, listing("<IsTruncated>false</IsTruncated>"));
    await listAll(client);
    expect(events.filter(({ type }) => type === "retry")).toHaveLength(2);
  });
});

describe("listings of S3", () => {
  test("are parsed with numbers as text, single entries, escapes and entities", async () => {
    const { server, client } = world();
    server.on(
      LIST,
      listing(
        "<EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>" +
          "<Contents><Key>app/007</Key><LastModified>2026-01-02T03:04:05.678Z</LastModified><ETag>&quot;e&#45;1&quot;</ETag><Size>0012</Size></Contents>" +
          "<CommonPrefixes><Prefix>app/v1.0.0%2Ba+b%20c%0A/</Prefix></CommonPrefixes>",
      ),
    );
    for await (const page of client.list({ prefix: "app/" })) {
      expect(page.objects).toEqual([
        {
          key: "app/007",
          size: 12,
          etag: '"e-1"',
          lastModified: new Date("2026-01-02T03:04:05.678Z"),
        },
      ]);
      expect(page.prefixes).toEqual(["app/v1.0.0+a b c\n/"]);
    }
  });

  test("are read literally if the server ignores encoding-type", async () => {
    const { server, client } = world();
    const prefix = "<CommonPrefixes><Prefix>app/v1.0.0+a%20b/</Prefix></CommonPrefixes>";
    server.on(LIST, listing(`<IsTruncated>false</IsTruncated>${prefix}`));
    expect(await listAll(client)).toEqual(["app/v1.0.0+a%20b/"]);
  });

  test("continue where the last page ended", async () => {
    const { server, client } = world();
    const page = (tag: string): string =>
      `<CommonPrefixes><Prefix>app/${tag}/</Prefix></CommonPrefixes>`;
    server.on(
      LIST,
      listing(
        `<IsTruncated>true</IsTruncated><NextContinuationToken>a&amp;b=</NextContinuationToken>${page("v1")}`,
      ),
    );
    server.on(
      `${LIST}&continuation-token=a%26b%3D`,
      listing(`<IsTruncated>false</IsTruncated>${page("v2")}`),
    );
    expect(await listAll(client)).toEqual(["app/v1/", "app/v2/"]);
  });

  const broken: [string, Response][] = [
    ["ends early", new Response("<ListBucketResult><IsTruncated>false</IsTruncated><Contents>")],
    ["is not a listing", new Response("<html>Welcome</html>")],
    ["does not state whether it is truncated", listing("")],
    ["is truncated without a continuation token", listing("<IsTruncated>true</IsTruncated>")],
    [
      "has no size",
      listing(
        "<IsTruncated>false</IsTruncated><Contents><Key>a</Key><LastModified>2026-01-02T03:04:05Z</LastModified></Contents>",
      ),
    ],
  ];
  test.each(broken)("are refused if the response %s", async (_what, answer) => {
    const { server, client } = world();
    server.on(LIST, answer);
    await expect(listAll(client)).rejects.toMatchObject({
      code: "remote",
      message: expect.stringMatching(/^Cannot read the listing http:\/\/s3\.test\/releases/),
    });
  });

  test("are refused if a page links to itself", async () => {
    const { server, client } = world();
    const again = listing(
      "<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>",
    );
    server.on(LIST, again).on(`${LIST}&continuation-token=t`, again);
    await expect(listAll(client)).rejects.toMatchObject({ code: "remote" });
  });
});

describe("refusals of S3", () => {
  test.each([
    ["a redirect", refusal(301, "PermanentRedirect", "", { "x-amz-bucket-region": "eu-west-3" })],
    [
      "a malformed scope",
      refusal(400, "AuthorizationHeaderMalformed", "<Region>eu-west-3</Region>"),
    ],
  ])("name the right region (%s)", async (_what, answer) => {
    const { server, client } = world();
    server.on(LIST, answer);
    await expect(listAll(client)).rejects.toMatchObject({
      code: "config",
      message: expect.stringContaining("s3://eu-west-3/releases/"),
    });
  });

  test("name the right region for a response without a body", async () => {
    const { server, client } = world();
    server.on(
      "HEAD /releases/key",
      new Response(null, { status: 400, headers: { "x-amz-bucket-region": "eu-west-3" } }),
    );
    await expect(client.head("key")).rejects.toMatchObject({ code: "config" });
  });

  test.each([
    [403, "InvalidAccessKeyId", "credential", "AWS_ACCESS_KEY_ID"],
    [403, "SignatureDoesNotMatch", "credential", "AWS_SECRET_ACCESS_KEY"],
    [403, "RequestTimeTooSkewed", "credential", "clock"],
    [400, "ExpiredToken", "credential", "session has expired"],
    [403, "AccessDenied", "credential", "s3:GetObject"],
    [404, "NoSuchBucket", "not-found", '"releases"'],
    [404, "XAdminUserNotFound", "credential", "AWS_ACCESS_KEY_ID"],
  ])("quote the server's message and add advice (%i %s)", async (status, code, kind, advice) => {
    const { server, client } = world();
    server.on(LIST, refusal(status, code));
    await expect(listAll(client)).rejects.toMatchObject({
      code: kind,
      message: expect.stringMatching(
        new RegExp(`HTTP ${status}: ${code}: words of the server.*${advice}`),
      ),
    });
  });
});

describe("refusals of requests without credentials", () => {
  test.each([
    ["S3's own words", refusal(403, "AccessDenied")],
    ["HTTP 401", new Response("Unauthorized", { status: 401 })],
    // OpenStack Swift takes a request for S3 only when it is signed.
    ["words of another protocol", new Response("Bad URL", { status: 412 })],
  ])("say which variables to set (%s)", async (_what, answer) => {
    const { server, client } = world({ env: {} });
    server.on(LIST, answer);
    await expect(listAll(client)).rejects.toMatchObject({
      code: "credential",
      message: expect.stringMatching(/without credentials: set AWS_ACCESS_KEY_ID/),
    });
  });

  test("still name the object if S3 does", async () => {
    const { server, client } = world({ env: {} });
    server.on("GET /releases/key", refusal(412, "PreconditionFailed"));
    server.on("GET /releases/gone", refusal(404, "NoSuchKey"));
    await expect(client.get("key", { etag: '"e"' })).rejects.toMatchObject({ code: "integrity" });
    await expect(client.get("gone")).rejects.toMatchObject({ code: "not-found" });
  });
});

describe("objects of S3", () => {
  test("are requested with the expected entity tag and from an offset", async () => {
    const { server, client } = world();
    server.on(
      "GET /releases/a%20b%2B%25%3F%23%C3%BC%2A?response-content-encoding=identity",
      new Response("3456", { status: 206, headers: { "content-range": "bytes 3-6/7" } }),
    );
    const stream = await client.get("a b+%?#ü*", { offset: 3, etag: '"e"' });
    expect(await new Response(stream).text()).toBe("3456");
    const headers = server.requests[0]?.headers;
    expect([headers?.get("range"), headers?.get("if-match")]).toEqual(["bytes=3-", '"e"']);
  });

  test("that were replaced meanwhile lead to a retryable integrity error", async () => {
    const { server, client } = world();
    server.on(
      "GET /releases/key?response-content-encoding=identity",
      refusal(412, "PreconditionFailed"),
    );
    await expect(client.get("key", { etag: '"e"' })).rejects.toMatchObject({
      code: "integrity",
      retryable: true,
    });
  });

  test("with Content-Encoding are refused without credentials, since fetch would decode them", async () => {
    const { server, client } = world({ env: {} });
    server.on("GET /releases/key", new Response("x", { headers: { "content-encoding": "gzip" } }));
    await expect(client.get("key")).rejects.toMatchObject({ code: "integrity", retryable: false });
  });

  test.each(["a/../b", "..", "a/./b", "./a"])(
    "are not asked for as %j, which fetch would change",
    async (key) => {
      const { client } = world();
      await expect(client.get(key)).rejects.toMatchObject({ code: "config" });
    },
  );

  test("are stored with a checksum", async () => {
    const { server, client } = world();
    server.on("PUT /releases/record.txt", new Response(null));
    await client.put("record.txt", "", "text/plain");
    const headers = server.requests[0]?.headers;
    expect(headers?.get("content-type")).toBe("text/plain");
    expect(headers?.get("x-amz-checksum-sha256")).toBe(
      "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
    );
  });
});
