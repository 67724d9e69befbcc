// The library with a policy on web standards only, the same on Node, Deno, Bun and workerd.
import {
  latest,
  openArtifact,
  UnsupportedError,
  type VerifyOptions,
} from "../../src/registries/verified/mod.ts";
import { equal, rejects } from "./check.ts";

const APP = "app_linux_amd64.tar.gz";
const BYTES = "bytes";
const SHA256 = "277089d91c0bdf4f2e6862ba7e4a07605119431f5d13f726dd352b06f1b206a9";
const KEY = "RWRHvK7M1D0c8SgYjiCaouQCfVL0e8ZI+Q1uejPjnSpQWeoWVNyVppIq";
/** By `minisign -S -m app_linux_amd64.tar.gz -t tag:v1.1.0`. */
const SIGNATURE = `untrusted comment: signature from minisign secret key
RURHvK7M1D0c8SHf22kzYkb1PrkLai2nhvZasJaCxJKumKgPa6qBMRGmbj29PBwukQXvreDFeGZO0WOAuWLViLVm8ZCbZEnB0Aw=
trusted comment: tag:v1.1.0
SVpsN/PiG/40Lp1e+n4IW69zYENptzlaKW8uHSZh/+rqTAHn8ur7G0WaTqbdCepycvrQleciyeaGNbVerxGcDA==
`;
const URL_OF_REGISTRY = "s3://eu-west-1/releases/app";

/** Runs all checks and returns their names. Throws if one fails. */
export async function verifiedCase(): Promise<string[]> {
  const passed: string[] = [];
  for (const [name, check] of Object.entries(checks)) {
    await check();
    passed.push(name);
  }
  return passed;
}

const checks: Record<string, () => Promise<void>> = {
  async "bytes that minisign and a checksum file cover"() {
    const options = bucket({ verify: [`minisign=${KEY}`, "checksums"] });
    const answer = await latest(URL_OF_REGISTRY, options);
    if (answer.kind !== "ready") throw new Error(answer.kind);
    equal(answer.unproved, [`minisign=${KEY}`, "checksums"], "what needs a download");
    const stream = await openArtifact(answer, options);
    equal(await new Response(stream).text(), BYTES, "bytes");
  },

  async "changed bytes are refused before their end"() {
    const options = bucket({ verify: `minisign=${KEY}` }, "bYtes");
    const answer = await latest(URL_OF_REGISTRY, options);
    if (answer.kind !== "ready") throw new Error(answer.kind);
    const stream = await openArtifact(answer, options);
    await rejects(new Response(stream).text(), "unverified", "changed bytes");
  },

  async "kinds that need a host are refused by name"() {
    for (const verify of ["openpgp=key.asc", "sigstore=a,b", "github=o/r", "index", "auto"]) {
      const error = await latest(URL_OF_REGISTRY, bucket({ verify })).catch((thrown) => thrown);
      equal([error instanceof UnsupportedError, error.name], [true, "UnsupportedError"], verify);
    }
  },
};

/** A bucket with a signed version, as path-style S3. */
function bucket(options: VerifyOptions, bytes = BYTES): VerifyOptions {
  const files: Readonly<Record<string, string>> = {
    [APP]: bytes,
    [`${APP}.minisig`]: SIGNATURE,
    SHA256SUMS: `${SHA256}  ${APP}\n`,
  };
  const fetch = async (input: RequestInfo | URL, init?: RequestInit): Promise<Response> => {
    const request = new Request(input, init);
    const { pathname, searchParams } = new URL(request.url);
    const prefix = searchParams.get("prefix");
    if (prefix !== null) return new Response(listing(prefix, files));
    const body = files[pathname.split("/").at(-1) ?? ""];
    return new Response(request.method === "HEAD" ? null : body, { headers: { etag: '"1"' } });
  };
  return {
    platform: { os: "linux", arch: "x64" },
    endpoint: "http://s3.test",
    env: { AWS_ACCESS_KEY_ID: "id", AWS_SECRET_ACCESS_KEY: "secret" },
    fetch,
    ...options,
  };
}

function listing(prefix: string, files: Readonly<Record<string, string>>): string {
  const folder = "app/v1.1.0/";
  const body =
    prefix === folder
      ? Object.entries(files)
          .map(
            ([name, { length }]) =>
              `<Contents><Key>${folder}${name}</Key><Size>${length}</Size><ETag>"1"</ETag><LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>`,
          )
          .join("")
      : `<CommonPrefixes><Prefix>${folder}</Prefix></CommonPrefixes>`;
  return `<?xml version="1.0"?><ListBucketResult><IsTruncated>false</IsTruncated><EncodingType>url</EncodingType>${body}</ListBucketResult>`;
}
