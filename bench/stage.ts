// The time from "published" to "live" for an archive: `dewy assets --once` on each runtime against
// `curl | tar xz`, from an S3 server on this machine. Wall time, CPU time and peak memory (of the
// largest process) of each, as medians. Run it with `npm run bench -- stage [MB…]`. Defaults to 100
// and 500 MB, and 20,000 small files.
import { randomBytes } from "node:crypto";
import {
  createReadStream,
  createWriteStream,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
} from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { fileURLToPath } from "node:url";
import { createGzip } from "node:zlib";
import { createTarPacker } from "modern-tar";
import { type Cost, measure, medianCost, rotated } from "./support/measure.ts";

const ROUNDS = 3;
const FILE_BYTES = 256 << 10;
const ROOT = fileURLToPath(new URL("..", import.meta.url));
const BIN = join(ROOT, "node_modules", ".bin");

/** Compresses about two to one, as programs do. */
function content(bytes: number): Uint8Array {
  const block = Buffer.alloc(bytes);
  const noise = randomBytes(bytes >> 1);
  for (let at = 0; at < noise.byteLength; at += 64) {
    noise.copy(block, at * 2, at, at + 64);
    block.fill("some repeated text; ", at * 2 + 64, at * 2 + 128);
  }
  return block;
}

async function makeArchive(
  path: string,
  isEnough: (compressed: number, files: number) => boolean,
  body: Uint8Array,
): Promise<void> {
  const gzip = createGzip({ level: 1 });
  const file = createWriteStream(path);
  const { readable, controller } = createTarPacker();
  const written = pipeline(Readable.fromWeb(readable as never), gzip, file);
  for (let files = 0; !isEnough(file.bytesWritten, files); files += 1) {
    const header = { name: `app/d${files % 100}/f${files}`, size: body.byteLength, mode: 0o644 };
    const writer = controller.add(header).getWriter();
    await writer.write(body);
    await writer.close();
    while (gzip.writableNeedDrain) await new Promise((resolve) => gzip.once("drain", resolve));
  }
  controller.finalize();
  await written;
}

/** The bucket `b` with one release, as far as a listing and a download need it. */
function serve(archive: string, request: IncomingMessage, response: ServerResponse): void {
  const url = new URL(request.url ?? "", "http://localhost");
  const key = `v1.0.0/${basename(archive)}`;
  const size = statSync(archive).size;
  if (!url.searchParams.has("list-type")) {
    response.setHeader("content-length", size);
    createReadStream(archive, { highWaterMark: 1 << 18 }).pipe(response);
    return;
  }
  const found =
    url.searchParams.get("prefix") === "v1.0.0/"
      ? `<Contents><Key>${key}</Key><Size>${size}</Size><ETag>"0-2"</ETag><LastModified>2026-01-01T00:00:00Z</LastModified></Contents>`
      : "<CommonPrefixes><Prefix>v1.0.0/</Prefix></CommonPrefixes>";
  response.end(
    `<?xml version="1.0"?><ListBucketResult><IsTruncated>false</IsTruncated>${found}</ListBucketResult>`,
  );
}

async function compare(title: string, archive: string, endpoint: string): Promise<object[]> {
  const work = join(directory, "work");
  const release = `${endpoint}/b/v1.0.0/${basename(archive)}`;
  const assets = ["assets", "--once", "--registry", "s3://us-east-1/b", "-d", join(work, "app")];
  const deno = [join(BIN, "deno"), "run", "-A", "--no-lock", "--node-modules-dir=manual"];
  const ways = [
    {
      name: "curl | tar xz",
      argv: ["sh", "-c", `curl -sf '${release}' | tar xz -C '${work}/app'`],
      costs: [] as Cost[],
    },
    { name: "dewy, Node", argv: ["node", "dist/cli.js", ...assets], costs: [] as Cost[] },
    { name: "dewy, Deno", argv: [...deno, "cli.ts", ...assets], costs: [] as Cost[] },
    { name: "dewy, Bun", argv: [join(BIN, "bun"), "cli.ts", ...assets], costs: [] as Cost[] },
  ];
  const env = {
    ...process.env,
    AWS_ENDPOINT_URL: endpoint,
    AWS_ACCESS_KEY_ID: "bench",
    AWS_SECRET_ACCESS_KEY: "bench",
  };
  for (let round = 0; round < ROUNDS; round++) {
    for (const { name, argv, costs } of rotated(ways, round)) {
      mkdirSync(join(work, "app"), { recursive: true });
      costs.push(await measure(argv, { cwd: ROOT, env }));
      const live = join(work, "app", name.startsWith("dewy") ? "current/app/d0" : "app/d0");
      if (!existsSync(live)) throw new Error(`${name} left no ${live}`);
      rmSync(work, { recursive: true });
    }
  }
  const [{ costs: yardstick } = { costs: [] }] = ways;
  const base = medianCost(yardstick);
  return ways.map(({ name, costs }) => {
    const { wallMs, cpuMs, peakMiB } = medianCost(costs);
    return {
      archive: title,
      way: name,
      "wall (s)": (wallMs / 1000).toFixed(2),
      "CPU (s)": (cpuMs / 1000).toFixed(2),
      "peak (MiB)": peakMiB.toFixed(0),
      "wall ratio": (wallMs / base.wallMs).toFixed(2),
      "CPU ratio": (cpuMs / base.cpuMs).toFixed(2),
    };
  });
}

const sizes = process.argv.slice(2).map(Number);
const directory = mkdtempSync(join(tmpdir(), "dewy-bench-stage-"));
const archive = join(directory, `app_${process.platform}_${process.arch}.tar.gz`);
const server = createServer((request, response) => serve(archive, request, response));
await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
try {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const endpoint = `http://127.0.0.1:${address.port}`;
  const rows: object[] = [];
  for (const megabytes of sizes.length > 0 ? sizes : [100, 500]) {
    await makeArchive(archive, (size) => size >= megabytes * 1e6, content(FILE_BYTES));
    rows.push(...(await compare(`${megabytes} MB`, archive, endpoint)));
  }
  if (sizes.length === 0) {
    await makeArchive(archive, (_, files) => files >= 20_000, content(4096));
    rows.push(...(await compare("20,000 files of 4 KiB", archive, endpoint)));
  }
  console.log(`Median of ${ROUNDS} rounds`);
  console.table(rows);
} finally {
  server.close();
  rmSync(directory, { recursive: true, force: true });
}
