import { createHash } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { runDewy } from "../e2e/dewy.ts";
import { attributesOf, serveCollector, spansOf } from "../fakes/collector.ts";
import { fakeS3 } from "../fakes/s3.ts";
import { serveFetch } from "../fakes/serve.ts";
import { missingPeer } from "../peers/missing_peer.ts";
import { missingRadosgw, startRadosgw } from "../peers/radosgw.ts";
import { gpgKey } from "../support/signing.ts";
import { type BareRoot, bareRoot, missingBareRoot } from "./bare_root.ts";
import { BINARY } from "./build.ts";

const missing = missingBareRoot();
/** For this machine under any platform. */
const FILE = "app";

describe.skipIf(missing !== undefined)(
  `what is optional in the npm package, in the single binary${missing === undefined ? "" : ` (${missing})`}`,
  () => {
    const run = (root: BareRoot, args: readonly string[], env: Record<string, string> = {}) =>
      runDewy(root.dewy({ ...env }), args, { cwd: root.directory });
    const write = async (root: BareRoot, path: string, content: string | Uint8Array) => {
      await mkdir(dirname(join(root.directory, path)), { recursive: true });
      await writeFile(join(root.directory, path), content);
    };

    const noGpg = missingPeer(["gpg"], "gnupg");
    test.skipIf(noGpg !== undefined)(`OpenPGP verifies a release ${noGpg ?? ""}`, async () => {
      const [root, key] = [await bareRoot(BINARY), await gpgKey()];
      await write(root, "key.asc", key.publicKey);
      await write(root, `registry/v1.0.0/${FILE}`, "bytes");
      await write(root, `registry/v1.0.0/${FILE}.asc`, await key.sign(FILE, "bytes"));
      const args = ["check", `file:///registry?artifact=${FILE}`, "--verify", "openpgp=/key.asc"];
      const { code, stdout, stderr } = await run(root, args);
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      expect(stdout).toMatch(/^verified +openpgp/m);
      await write(root, `registry/v1.0.0/${FILE}`, "other bytes");
      expect((await run(root, args)).stdout).toMatch(/^unverified +Cannot verify/m);
    });

    test("OpenTelemetry sends the trace and the metrics of a deploy", async () => {
      const collector = await serveCollector();
      onTestFinished(() => collector.close());
      const root = await bareRoot(BINARY);
      await write(root, `registry/v1.0.0/${FILE}`, "#!/bin/sh\n");
      const registry = ["--registry", `file:///registry?artifact=${FILE}`, "-d", "/tmp", "--once"];
      const args = ["assets", ...registry, "--telemetry", "--otlp-endpoint", collector.url];
      const { code, stderr } = await run(root, args);
      expect(code, stderr).toBe(0);
      const exports = collector.taken.map(({ body }) => body);
      expect(spansOf(exports).map(({ name }) => name)).toContain("deploy");
      const [metrics] = exports.flatMap(({ resourceMetrics = [] }) => resourceMetrics);
      expect(attributesOf(metrics?.resource ?? { attributes: [] })).toMatchObject({
        "service.name": "dewy",
      });
    });

    const noS3 = missingRadosgw();
    test.skipIf(noS3 !== undefined)(
      `the AWS SDK assumes the role of a profile ${noS3 ?? ""}`,
      async () => {
        const [rgw, root] = [await startRadosgw({ roles: true }), await bareRoot(BINARY)];
        onTestFinished(rgw.stop);
        await rgw.createBucket("bucket");
        await rgw.send("PUT", "bucket", `app/v1.0.0/${FILE}`, {}, new TextEncoder().encode("app"));
        const { accessKeyId, secretAccessKey } = rgw.user;
        const keys = `aws_access_key_id = ${accessKeyId}\naws_secret_access_key = ${secretAccessKey}`;
        const role = await rgw.createRole("reader");
        await write(root, ".aws/credentials", `[base]\n${keys}\n`);
        await write(
          root,
          ".aws/config",
          `[profile reader]\nrole_arn = ${role}\nsource_profile = base\n`,
        );
        const check = ["check", `s3://default/bucket/app?artifact=${FILE}`];
        const env = { AWS_ENDPOINT_URL: rgw.endpoint, AWS_REGION: "default" };
        const answer = await run(root, check, { ...env, AWS_PROFILE: "reader" });
        expect(answer.stdout, answer.stderr).toMatch(/^version +v1\.0\.0$/m);
      },
    );

    test.each([
      ["single sign-on", { AWS_PROFILE: "sso" }],
      ["a command", { AWS_PROFILE: "command" }],
      [
        "a web identity",
        { AWS_WEB_IDENTITY_TOKEN_FILE: "/token", AWS_ROLE_ARN: "arn:aws:iam::1:role/web" },
      ],
      ["a container's role", { AWS_CONTAINER_CREDENTIALS_FULL_URI: "/container" }],
      ["a machine's role", {}],
    ])("the AWS SDK takes credentials of %s", async (source, env) => {
      const root = await bareRoot(BINARY);
      const { url, keys } = await serveAws();
      await write(root, "token", "token");
      await write(root, ".aws/config", AWS_CONFIG);
      const cache = createHash("sha1").update("https://sso.test").digest("hex");
      await write(root, `.aws/sso/cache/${cache}.json`, AWS_LOGIN);
      const variables = Object.entries({ ...SERVICES, ...env }).map(([name, value]) => [
        name,
        name.includes("ENDPOINT") || name.endsWith("_URI") ? `${url}${value}` : value,
      ]);
      const check = ["check", `s3://eu-west-1/bucket/app?artifact=${FILE}`];
      const { stdout, stderr } = await run(root, check, Object.fromEntries(variables));
      expect(stdout, stderr).toMatch(/^version +v1\.0\.0$/m);
      expect(new Set(keys)).toEqual(new Set([source.replaceAll(/\W/g, "-")]));
    });
  },
);

const SERVICES = {
  AWS_REGION: "eu-west-1",
  AWS_ENDPOINT_URL_S3: "",
  AWS_ENDPOINT_URL_SSO: "",
  AWS_ENDPOINT_URL_STS: "",
  AWS_EC2_METADATA_SERVICE_ENDPOINT: "",
};

const AWS_CONFIG = `
[profile sso]
sso_start_url = https://sso.test
sso_region = eu-west-1
sso_account_id = 1
sso_role_name = reader
[profile command]
credential_process = echo '{"Version":1,"AccessKeyId":"a-command","SecretAccessKey":"s"}'
`;
const EXPIRES = new Date(Date.now() + 3_600_000).toISOString();
const AWS_LOGIN = JSON.stringify({ accessToken: "login", expiresAt: EXPIRES });

/** S3, and the services that hand out keys, each of which is named after its source. */
async function serveAws(): Promise<{ url: string; keys: string[] }> {
  const keys: string[] = [];
  const s3 = fakeS3("bucket", Date.now);
  s3.store(`app/v1.0.0/${FILE}`, "app");
  const secret = { SecretAccessKey: "s", Token: "t", Expiration: EXPIRES };
  const metadata = "/latest/meta-data/iam/security-credentials/";
  const answers: Readonly<Record<string, () => Response>> = {
    "/federation/credentials": () =>
      Response.json({
        roleCredentials: {
          ...{ accessKeyId: "single-sign-on", secretAccessKey: "s", sessionToken: "t" },
          expiration: Date.parse(EXPIRES),
        },
      }),
    "/container": () => Response.json({ AccessKeyId: "a-container-s-role", ...secret }),
    "/latest/api/token": () => new Response("token"),
    [metadata]: () => new Response("role"),
    [`${metadata}role`]: () =>
      Response.json({ Code: "Success", AccessKeyId: "a-machine-s-role", ...secret }),
    "/": () =>
      new Response(
        `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>a-web-identity</AccessKeyId>
<SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>
<Expiration>${EXPIRES}</Expiration></Credentials></AssumeRoleWithWebIdentityResult>
</AssumeRoleWithWebIdentityResponse>`,
      ),
  };
  const { url, close } = await serveFetch(async (request) => {
    const answer = answers[new URL(request.url).pathname];
    if (answer !== undefined) return answer();
    const [, key = "none"] =
      /Credential=([^/]+)/.exec(request.headers.get("authorization") ?? "") ?? [];
    keys.push(key);
    return s3.handler(request);
  });
  onTestFinished(close);
  return { url, keys };
}
