// The library in workerd: the CPU time of the start and of the first calls, for each entry of the
// package; then a cold latest() on 300 releases with 20 assets each, against listing with
// @octokit/rest, in requests, rate limit, compressed bytes and CPU time. Medians; the time of a worker
// without a library is subtracted from the starts. Run it with `npm run bench -- edge [rounds]`.
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { systemClock } from "../src/core/clock.ts";
import type { Peers } from "../test/conformance/case.ts";
import { servePeers } from "../test/conformance/peers.ts";
import { FakeGitHub } from "../test/fakes/github.ts";
import type { Handler } from "../test/fakes/handler.ts";
import { serveFetch } from "../test/fakes/serve.ts";
import { bundleWorker, type Call, costOf, type EdgeCost } from "./support/edge_worker.ts";
import { median, rotated } from "./support/measure.ts";

const ROUNDS = Number(process.argv[2] ?? 5);
const RELEASES = 300;
const PLATFORMS = ["linux_amd64", "linux_arm64", "linux_armv7", "darwin_amd64", "darwin_arm64"];
const NAMES = PLATFORMS.flatMap((platform) =>
  [".tar.gz", ".tar.gz.sha256", ".sbom.json", ".tar.gz.sig"].map((end) => `app_${platform}${end}`),
);
const platform = { os: "linux", arch: "amd64" };
const keys = { AWS_ACCESS_KEY_ID: "id", AWS_SECRET_ACCESS_KEY: "secret" };

/** What each entry is called with; others are only started. */
function callsOf({ github, s3, google, oci, connect }: Peers): Readonly<Record<string, Call>> {
  const onGitHub = { platform, token: "ghp_writer", env: { GITHUB_API_URL: github } };
  const onS3 = { platform, endpoint: s3, env: keys };
  const emulator = { STORAGE_EMULATOR_HOST: `${google}/emulator`.replace("http://", "") };
  const artifact = "app_linux_amd64*";
  return {
    ".": ["latest", "ghr://acme/app", onGitHub],
    "./github": ["latest", "ghr://acme/app", onGitHub],
    "./s3": ["latest", "s3://eu-west-1/releases/app", onS3],
    "./gcs": ["latest", "gs://b/my%20app", { platform, env: emulator, artifact }],
    "./oci": [
      "latest",
      `img://${oci}/o/app`,
      { platform, env: {}, registryLogin: { username: "dewy", password: "secret" } },
    ],
    "./grpc": ["latest", `grpc://${connect}?no-tls=true`, { platform, env: {} }],
    "./verify": ["latest", "s3://eu-west-1/releases/signed", { ...onS3, verify: "checksums" }],
    "./version": ["latestTag", ["v1.0.0", "v1.10.0", "v1.9.0"]],
    "./platform": ["selectArtifact", ["app_linux_amd64", "app_darwin_arm64"], platform],
  };
}

/** The entries of package.json that need no host, as source files. */
async function edgeEntries(): Promise<{ name: string; script: string }[]> {
  const { exports } = JSON.parse(readFileSync("package.json", "utf8"));
  const entries: { name: string; script: string }[] = [];
  for (const [name, targets] of Object.entries<{ default?: string }>(exports)) {
    const source = targets.default?.replace(/^\.\/dist\//, "./").replace(/\.js$/, ".ts");
    if (source === undefined) continue;
    try {
      entries.push({ name, script: await bundleWorker(source) });
    } catch (error) {
      const why = String(error).split("\n", 1)[0]?.slice(0, 80);
      console.log(`${name} is left out, since it needs a host: ${why}`);
    }
  }
  return entries;
}

async function benchEntries(): Promise<void> {
  const { peers, close } = await servePeers("workerd");
  try {
    const calls = callsOf(peers);
    const empty = { name: "a worker without a library", script: await bundleWorker() };
    const ways = [empty, ...(await edgeEntries())].map((entry) => ({
      ...entry,
      costs: [] as EdgeCost[],
    }));
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const { name, script, costs } of rotated(ways, round)) {
        const first = calls[name];
        costs.push(await costOf(script, first === undefined ? [] : [first, first]));
      }
    }
    const startOf = (costs: readonly EdgeCost[]): number =>
      median(costs.map(({ startMs }) => startMs));
    const base = startOf(ways[0]?.costs ?? []);
    console.log(`\nCPU time in workerd in milliseconds, medians of ${ROUNDS} rounds`);
    console.table(
      ways.map(({ name, script, costs }, index) => {
        const callOf = (nth: number): string =>
          calls[name] === undefined ? "" : ms(costs.map(({ callsMs }) => callsMs[nth] ?? 0));
        return {
          entry: name,
          "kB gzipped": (gzipSync(script, { level: 9 }).length / 1000).toFixed(0),
          start: (startOf(costs) - (index === 0 ? 0 : base)).toFixed(1),
          "first call": callOf(0),
          "second call": callOf(1),
        };
      }),
    );
  } finally {
    await close();
  }
}

const WAYS = {
  "two bare requests for the same": "bareRequests",
  "dewy: latest()": "dewyLatest",
  "dewy: latest(), from the cache of another isolate": "dewyCached",
  "dewy: 20 latest() at once": "dewyTwenty",
  "dewy: the whole list, as an agent's first poll": "dewyListing",
  "@octokit/rest: the whole list": "octokitListing",
} as const;

interface ColdCost {
  requests: number;
  counted: number;
  /** As JSON. */
  bytes: number;
  /** Compressed. */
  sent: number;
  cpuMs: number;
}

async function benchCold(): Promise<void> {
  const github = new FakeGitHub({
    clock: systemClock,
    limits: { token: 1_000_000, anonymous: 60 },
  });
  for (let minor = 0; minor < RELEASES; minor += 1) {
    github.publish(
      `v1.${minor}.0`,
      NAMES.map((name) => ({ name })),
    );
  }
  let sent = 0;
  const api = await serveFetch(compressed(github.handler, (bytes) => (sent += bytes)));
  const store = await serveFetch(keyValueStore());
  github.urls = { api: api.url, uploads: api.url, storage: api.url };
  const rows = await Promise.all(
    Object.entries(WAYS).map(async ([way, name]) => ({
      way,
      name,
      script: await bundleWorker("./bench/support/edge_ways.ts", name),
      costs: [] as ColdCost[],
    })),
  );
  try {
    const filling = await bundleWorker("./bench/support/edge_ways.ts", "dewyCached");
    await costOf(filling, [["dewyCached", api.url, store.url]]);
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const { name, script, costs } of rotated(rows, round)) {
        github.calls.length = 0;
        sent = 0;
        const { callsMs } = await costOf(script, [[name, api.url, store.url]]);
        const counted = github.calls.filter((call) => call.counted).length;
        const bytes = github.calls.reduce((sum, call) => sum + call.bytes, 0);
        costs.push({ requests: github.calls.length, counted, bytes, sent, cpuMs: callsMs[0] ?? 0 });
      }
    }
  } finally {
    await Promise.all([api.close(), store.close()]);
  }
  console.log(
    `\nA cold isolate asks for the newest of ${RELEASES} releases x ${NAMES.length} assets`,
  );
  console.table(
    rows.map(({ way, costs }) => ({
      way,
      requests: median(costs.map((cost) => cost.requests)),
      "rate limit": median(costs.map((cost) => cost.counted)),
      "kB of JSON": (median(costs.map((cost) => cost.bytes)) / 1000).toFixed(0),
      "kB on the wire": (median(costs.map((cost) => cost.sent)) / 1000).toFixed(0),
      "CPU (ms)": ms(costs.map(({ cpuMs }) => cpuMs)),
    })),
  );
}

/**
 * Compresses every answer and counts the bytes of the bodies. GitHub does so for clients that accept
 * it: all runtimes do, except for workerd outside of its platform.
 */
function compressed(handler: Handler, count: (bytes: number) => void): Handler {
  return async (request) => {
    const { body, status, headers } = await handler(request);
    if (body === null) return new Response(null, { status, headers });
    const plain = new Uint8Array(await new Response(body).arrayBuffer());
    const sent = gzipSync(plain);
    headers.set("content-encoding", "gzip");
    headers.set("content-length", String(sent.length));
    count(sent.length);
    return new Response(new Uint8Array(sent), { status, headers });
  };
}

function keyValueStore(): Handler {
  const values = new Map<string, string>();
  return async (request) => {
    const { pathname } = new URL(request.url);
    if (request.method === "PUT") values.set(pathname, await request.text());
    const value = values.get(pathname);
    return new Response(value ?? "", { status: value === undefined ? 404 : 200 });
  };
}

function ms(values: readonly number[]): string {
  return median(values).toFixed(1);
}

await benchEntries();
await benchCold();
