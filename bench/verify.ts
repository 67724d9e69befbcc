// What verification adds: `dewy assets --once` with each kind of --verify against --verify none, from an
// S3 server on this machine; then agents that poll side by side, with and without --verify: their
// requests and CPU. Needs minisign, ssh-keygen and gpg. Run it with `npm run bench -- verify [MB]
// [rounds] [idle seconds]`. Defaults to 100 MB, 5 rounds and 30 s.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { createReadStream, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { readdir, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { fakeSigstore, ISSUER, WORKFLOW } from "../test/fakes/sigstore.ts";
import { type Cost, measure, medianCost, rotated } from "./support/measure.ts";

const [MEGABYTES = 100, ROUNDS = 5, IDLE_SECONDS = 30] = process.argv.slice(2).map(Number);
const ROOT = fileURLToPath(new URL("..", import.meta.url));
const DEWY = [process.env.NODE ?? "node", join(ROOT, "dist", "cli.js")];
const ARCHIVE = `app_${process.platform}_${process.arch}.tar.gz`;
const CLOCK_TICKS = 100;

const directory = mkdtempSync(join(tmpdir(), "dewy-bench-verify-"));
const [keys, release] = [join(directory, "keys"), join(directory, "release")];
const requests = new Map<string, number>();

/** A release with a signature of each kind, by a checksum file; and with one by its own. */
async function makeRelease(): Promise<readonly { name: string; flags: readonly string[] }[]> {
  for (const path of [keys, release]) mkdirSync(path);
  const content = join(directory, "content");
  await writeFile(content, randomBytes(MEGABYTES * 1e6));
  const sh = (script: string): string =>
    execFileSync("sh", ["-ec", script], { cwd: release, stdio: "pipe", encoding: "utf8", env });
  const env = { ...process.env, GNUPGHOME: keys, ARCHIVE, KEYS: keys };
  sh(`tar -C '${directory}' -czf "$ARCHIVE" content; rm '${content}'
    sha256sum "$ARCHIVE" >SHA256SUMS
    cd "$KEYS"
    minisign -G -W -f -p minisign.pub -s minisign.key >/dev/null
    minisign -G -W -f -p own.pub -s own.key >/dev/null
    ssh-keygen -q -t ed25519 -N '' -f ssh
    echo "bench $(cat ssh.pub)" >allowed_signers
    chmod 700 .
    gpg --batch --quiet --passphrase '' --quick-generate-key bench ed25519 sign never
    gpg --export --armor bench >openpgp.asc
    cd '${release}'
    minisign -S -s "$KEYS/minisign.key" -m SHA256SUMS
    minisign -S -s "$KEYS/own.key" -m "$ARCHIVE"
    ssh-keygen -q -Y sign -n file -f "$KEYS/ssh" SHA256SUMS
    gpg --batch --armor --detach-sign SHA256SUMS
    gpgconf --kill gpg-agent`);
  const sums = readFileSync(join(release, "SHA256SUMS"));
  const instance = await fakeSigstore();
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const files = {
    [join(release, "SHA256SUMS.sigstore.json")]: await instance.signFile(sums),
    [join(release, "SHA256SUMS.sigstore")]: await instance.signFileWith(privateKey, sums),
    [join(keys, "root.json")]: instance.trustedRoot,
  };
  for (const [path, json] of Object.entries(files)) await writeFile(path, JSON.stringify(json));
  await writeFile(join(keys, "key.pem"), publicKey.export({ type: "spki", format: "pem" }));
  const root = ["--trusted-root", join(keys, "root.json")];
  const rules: readonly [string, ...string[]][] = [
    ["none"],
    ["auto", ...root],
    ["checksums"],
    [`minisign=${join(keys, "minisign.pub")}`],
    [`minisign=${join(keys, "own.pub")}`],
    [`ssh=${join(keys, "allowed_signers")}`],
    [`openpgp=${join(keys, "openpgp.asc")}`],
    [`sigstore-key=${join(keys, "key.pem")}`, ...root],
    [`sigstore=${WORKFLOW},${ISSUER}`, ...root],
  ];
  return rules.map(([rule, ...flags]) => ({
    name: rule.includes("own.pub") ? "minisign, of the archive itself" : (rule.split("=")[0] ?? ""),
    flags: ["--verify", rule, ...flags],
  }));
}

/** A bucket for each agent, as far as listings and downloads need it. */
async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? "", "http://localhost");
  const [, bucket = "", ...key] = url.pathname.split("/");
  requests.set(bucket, (requests.get(bucket) ?? 0) + 1);
  if (request.method === "PUT") {
    response.end(); // an audit record
    return;
  }
  if (!url.searchParams.has("list-type")) {
    const path = join(release, key.at(-1) ?? "");
    response.setHeader("content-length", statSync(path).size);
    createReadStream(path, { highWaterMark: 1 << 18 }).pipe(response);
    return;
  }
  const names = await readdir(release);
  const contents = names.map(
    (name) =>
      `<Contents><Key>v1.0.0/${name}</Key><Size>${statSync(join(release, name)).size}</Size><ETag>"0-2"</ETag><LastModified>2026-01-01T00:00:00Z</LastModified></Contents>`,
  );
  const found =
    url.searchParams.get("prefix") === "v1.0.0/"
      ? contents.join("")
      : "<CommonPrefixes><Prefix>v1.0.0/</Prefix></CommonPrefixes>";
  response.end(
    `<?xml version="1.0"?><ListBucketResult><IsTruncated>false</IsTruncated>${found}</ListBucketResult>`,
  );
}

async function deploys(ways: Ways, env: NodeJS.ProcessEnv): Promise<void> {
  const costs = new Map(ways.map(({ name }) => [name, [] as Cost[]]));
  const app = join(directory, "app");
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const { name, flags } of rotated(ways, round)) {
      mkdirSync(app);
      const argv = [...DEWY, "assets", "--once", "--registry", "s3://us-east-1/deploy"];
      costs.get(name)?.push(await measure([...argv, "-d", app, ...flags], { cwd: ROOT, env }));
      rmSync(app, { recursive: true });
    }
  }
  const base = medianCost(costs.get("none") ?? []);
  console.log(`A deploy of ${MEGABYTES} MB, medians of ${ROUNDS} rounds`);
  console.table(
    [...costs].map(([name, all]) => {
      const { wallMs, cpuMs, peakMiB } = medianCost(all);
      return {
        "--verify": name,
        "wall (s)": (wallMs / 1000).toFixed(2),
        "CPU (s)": (cpuMs / 1000).toFixed(2),
        "peak (MiB)": peakMiB.toFixed(0),
        "more wall (ms)": (wallMs - base.wallMs).toFixed(0),
        "more CPU (ms)": (cpuMs - base.cpuMs).toFixed(0),
      };
    }),
  );
}

/** All agents at once, so that other work of the machine matters to all of them alike. */
async function idlePolls(ways: Ways, env: NodeJS.ProcessEnv): Promise<void> {
  const agents = ways
    .filter(({ name }) => ["none", "minisign", "ssh", "sigstore"].includes(name))
    .map(({ name, flags }) => {
      const app = join(directory, `agent-${name}`);
      mkdirSync(app);
      const argv = ["assets", "--interval", "1s", "--registry", `s3://us-east-1/${name}`];
      const [node = "", cli = ""] = DEWY;
      const args = [cli, ...argv, "-d", app, ...flags];
      return { name, app, agent: spawn(node, args, { env, stdio: "ignore" }) };
    });
  try {
    await Promise.all(agents.map(({ app }) => untilExists(join(app, "current"))));
    await sleep(5_000);
    const before = agents.map(({ name, agent }) => [requests.get(name) ?? 0, cpuMs(agent)]);
    await sleep(IDLE_SECONDS * 1_000);
    console.log(`Polls every second for ${IDLE_SECONDS} s, nothing new`);
    console.table(
      agents.map(({ name, agent }, index) => ({
        "--verify": name,
        requests: (requests.get(name) ?? 0) - (before[index]?.[0] ?? 0),
        "CPU (ms/s)": ((cpuMs(agent) - (before[index]?.[1] ?? 0)) / IDLE_SECONDS).toFixed(2),
      })),
    );
  } finally {
    for (const { agent } of agents) agent.kill();
  }
}

type Ways = Awaited<ReturnType<typeof makeRelease>>;

async function untilExists(path: string): Promise<void> {
  for (let tries = 0; tries < 600; tries += 1) {
    if (statSync(path, { throwIfNoEntry: false }) !== undefined) return;
    await sleep(100);
  }
  throw new Error(`${path} does not exist after a minute`);
}

/** @see https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html */
function cpuMs({ pid }: ChildProcess): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  return ((Number(fields[11]) + Number(fields[12])) * 1_000) / CLOCK_TICKS;
}

const server = createServer((request, response) => {
  serve(request, response).catch((error: unknown) => response.destroy(error as Error));
});
await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
try {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const env = {
    ...process.env,
    AWS_ENDPOINT_URL: `http://127.0.0.1:${address.port}`,
    AWS_ACCESS_KEY_ID: "bench",
    AWS_SECRET_ACCESS_KEY: "bench",
  };
  const ways = await makeRelease();
  await deploys(ways, env);
  await idlePolls(ways, env);
} finally {
  server.closeAllConnections();
  server.close();
  rmSync(directory, { recursive: true, force: true, maxRetries: 3 });
}
