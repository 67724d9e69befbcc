/**
 * Watches dewy deploy v1.0.0 from a directory, notice v1.1.0, and switch to it.
 *
 *     npm ci && npm run quickstart
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdir, mkdtemp, readFile, readlink, rename, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { packTar } from "modern-tar";

const CLI = fileURLToPath(new URL("../../dist/cli.js", import.meta.url));
const PATIENCE_MS = 30_000;

const home = await mkdtemp(join(tmpdir(), "dewy-quickstart-"));
const releases = join(home, "registry");
const app = join(home, "app");
const registry = `file://${releases}`;
await mkdir(app);

say("A registry is a directory with one directory a version. This one gets v1.0.0:");
await publish("v1.0.0");

const args = ["assets", "--registry", registry, "--directory", app, "-i", "1s", "-l", "info"];
say(`dewy watches it:\n\n    node dist/cli.js ${args.join(" ")}\n`);
const dewy = spawn(process.env.npm_node_execpath ?? "node", [CLI, ...args], {
  stdio: ["ignore", "inherit", "inherit"],
});
process.once("SIGINT", () => void dewy.kill("SIGINT"));

try {
  await live("v1.0.0");
  say("v1.0.0 is live. Somebody publishes v1.1.0:");
  await publish("v1.1.0");
  await live("v1.1.0");
  say("dewy noticed it and switched. It is stopped with Ctrl-C, or SIGTERM from systemd:");
} finally {
  await stop(dewy);
}

say(`This is what is there now:

    ${app}/current -> ${await readlink(join(app, "current"))}
    ${app}/current/index.html says: ${(await page()).trim()}

Go on by yourself, in this directory:

    node dist/cli.js check ${registry}
    node dist/cli.js explain ${registry}
    node dist/cli.js ${args.join(" ")}

and in another terminal, publish v1.2.0 (here a copy of v1.1.0) while dewy watches:

    mkdir ${releases}/v1.2.0 && cp ${releases}/v1.1.0/* ${releases}/v1.2.0/

Clean up: rm -rf ${home}`);

/** Publishes a site as one archive for every platform this example may run on. */
async function publish(tag: string): Promise<void> {
  const body = `<h1>Hello from ${tag}</h1>\n`;
  const tar = await packTar([{ header: { name: "index.html", size: body.length }, body }]);
  const directory = join(releases, tag);
  const name = `site_${process.platform}_${process.arch}.tar.gz`;
  await mkdir(directory, { recursive: true });
  // Written under another name first: dewy must not see half a file.
  await writeFile(join(directory, `.${name}`), gzipSync(tar));
  await rename(join(directory, `.${name}`), join(directory, name));
  console.log(`    ${join(directory, name)}`);
}

function page(): Promise<string> {
  return readFile(join(app, "current", "index.html"), "utf8").catch(() => "");
}

async function live(tag: string): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  while (!(await page()).includes(tag)) {
    if (dewy.exitCode !== null) throw new Error(`dewy ended with exit code ${dewy.exitCode}`);
    if (Date.now() > deadline) throw new Error(`${tag} did not become live`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  child.kill("SIGTERM");
  await new Promise((resolve) => child.once("exit", resolve));
}

function say(text: string): void {
  console.log(`\n${text}`);
}
