/**
 * Runs `dewy server` with a small app under load: it deploys v1.0.0, updates to v1.1.0, and rolls
 * back a broken v1.2.0. The last lines report how many requests were lost.
 *
 * npm ci && npm run quickstart
 *
 * It is JavaScript, so that Node 20 runs it as it is. Deno and Bun run it, too, after
 * `npm run build`.
 */
import { spawn } from "node:child_process";
import { mkdir, mkdtemp, readFile, readlink, rename, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { packTar } from "modern-tar";

const CLI = fileURLToPath(new URL("../../dist/cli.js", import.meta.url));
/** A single binary to run instead: node examples/quickstart/run.mjs build/dewy_linux_amd64 */
const [BINARY] = process.argv.slice(2);
const APP = fileURLToPath(new URL("app.js", import.meta.url));
const TIMEOUT_MS = 60_000;
const CLIENTS = 8;

const home = await mkdtemp(join(tmpdir(), "dewy-quickstart-"));
const releases = join(home, "registry");
const app = join(home, "app");
const registry = `file://${releases}`;
const address = `127.0.0.1:${await freePort()}`;
const counts = { sent: 0, lost: 0, slowestMs: 0, byVersion: new Map() };
let isOver = false;
await mkdir(app);

say("A registry can be a directory with one subdirectory per version. Publishing v1.0.0:");
await publish("v1.0.0");

const args = [
  ...["server", "--registry", registry, "--port", address],
  ...["-i", "1s", "--bake", "5s", "-l", "info", "--", `${app}/current/app.js`],
];
say(`dewy runs it and polls the registry:\n\n    node dist/cli.js ${args.join(" ")}\n`);
const launcher = "Deno" in globalThis ? ["run", "-A", CLI] : [CLI];
const command = BINARY === undefined ? [process.execPath, ...launcher] : [BINARY];
const dewy = spawn(command[0], [...command.slice(1), ...args], {
  stdio: ["ignore", "inherit", "inherit"],
});
process.once("SIGINT", () => void dewy.kill("SIGINT"));

try {
  await until("v1.0.0 to pass its bake", () => isRemembered("releases", "v1.0.0"));
  await until("v1.0.0 to answer", async () => (await ask()).includes("v1.0.0"));
  say(`v1.0.0 serves. From now on, ${CLIENTS} clients send one request after another.`);
  const clients = Array.from({ length: CLIENTS }, client);
  say("Publishing v1.1.0:");
  await publish("v1.1.0");
  await until("v1.1.0 to pass its bake", () => isRemembered("releases", "v1.1.0"));
  say(
    "v1.1.0 took over and ran for 5 s without a failure. Publishing v1.2.0, which crashes after 2 s:",
  );
  await publish("v1.2.0");
  await until("v1.2.0 to be rolled back", () => isRemembered("bad", "v1.2.0"));
  await until("v1.1.0 to answer again", async () => (await ask()).includes("v1.1.0"));
  say(
    "v1.1.0 was still running and served again at once. v1.2.0 is marked bad and is not tried again.",
  );
  isOver = true;
  await Promise.all(clients);
} finally {
  isOver = true;
  await stop(dewy);
}

const answers = [...counts.byVersion].map(([version, times]) => `${times} answered by ${version}`);
say(`${counts.sent} requests were sent meanwhile: ${answers.join(", ")}.
The slowest response took ${Math.round(counts.slowestMs)} ms; the app itself takes 50.
Requests lost: ${counts.lost}

Try it yourself from this directory:

    node dist/cli.js check ${registry}
    node dist/cli.js explain ${registry}
    node dist/cli.js ${args.join(" ")}

and in another terminal, while dewy runs:

    curl http://${address}/
    mkdir ${releases}/v1.3.0 && cp ${releases}/v1.1.0/* ${releases}/v1.3.0/

Clean up: rm -rf ${home}`);
if (counts.lost > 0) process.exitCode = 1;

/** Publishes the app as an archive for this platform. */
async function publish(tag) {
  const body = await readFile(APP);
  const header = { name: "app.js", size: body.length, mode: 0o755 };
  const tar = await packTar([{ header, body }]);
  const directory = join(releases, tag);
  const name = `app_${process.platform}_${process.arch}.tar.gz`;
  await mkdir(directory, { recursive: true });
  // Renamed when complete, so that dewy never sees half a file.
  await writeFile(join(directory, `.${name}`), gzipSync(tar));
  await rename(join(directory, `.${name}`), join(directory, name));
  console.log(`    ${join(directory, name)}`);
}

/** Sends one request after another, each on a new connection. */
async function client() {
  while (!isOver) {
    counts.sent += 1;
    const start = performance.now();
    const [, version] = (await ask()).split("from ");
    counts.slowestMs = Math.max(counts.slowestMs, performance.now() - start);
    if (version === undefined) counts.lost += 1;
    else counts.byVersion.set(version.trim(), (counts.byVersion.get(version.trim()) ?? 0) + 1);
  }
}

/** Returns the app's response, or an empty text if the request failed. */
async function ask() {
  try {
    const headers = { connection: "close" };
    const response = await fetch(`http://${address}/`, { headers, keepalive: false });
    return await response.text();
  } catch {
    return "";
  }
}

/** Whether dewy has committed a release, or marked it bad. */
async function isRemembered(list, tag) {
  const live = basename(await readlink(join(app, "current")).catch(() => ""));
  const text = await readFile(join(app, ".dewy", "state.json"), "utf8").catch(() => "{}");
  const state = JSON.parse(text);
  const found = (state[list] ?? []).find((release) => release.tag === tag);
  const isCommitted = !("switching" in state || "afterHook" in state);
  return isCommitted && found !== undefined && (list === "bad" || found.directory === live);
}

async function until(what, condition) {
  const deadline = Date.now() + TIMEOUT_MS;
  while (!(await condition())) {
    if (dewy.exitCode !== null) throw new Error(`dewy exited with exit code ${dewy.exitCode}`);
    if (Date.now() > deadline) throw new Error(`Timed out waiting for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function stop(child) {
  if (child.exitCode !== null) return;
  child.kill("SIGTERM");
  await new Promise((resolve) => child.once("exit", resolve));
}

function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

function say(text) {
  console.log(`\n${text}`);
}
