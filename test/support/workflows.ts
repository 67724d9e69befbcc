import { execFile, execFileSync } from "node:child_process";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { onTestFinished } from "vitest";
import { ROOT } from "../runtime/runtimes.ts";
import { type CodeBlock, codeBlocks, documents } from "./documents.ts";

/** A workflow of docs/publishing.md. */
export interface Workflow {
  /** The heading above it. */
  section: string;
  source: string;
  steps: readonly Step[];
  /** The commands that make its key. */
  setUp: string;
  /** What `--verify` gets in the example below it. */
  rule: string;
}

interface Step {
  uses?: string;
  run?: string;
  env?: Record<string, string>;
}

/** Released files by name; the first is the artifact. */
export type Release = Readonly<Record<string, Uint8Array>>;

export const ARTIFACT = "app_linux_amd64.tar.gz";
const BUN = join(ROOT, "node_modules", ".bin", "bun");

export function workflows(): readonly Workflow[] {
  return [...sections()].flatMap(([heading, blocks]) =>
    blocks
      .filter(({ language }) => language === "yaml")
      .map((yaml) => workflowOf(heading, yaml, blocks)),
  );
}

/** The blocks of shell in a section. */
export function commandsOf(heading: string): readonly string[] {
  const blocks = sections().get(heading) ?? [];
  return blocks.filter(({ language }) => language === "sh").map(({ code }) => code);
}

function sections(): ReadonlyMap<string, readonly CodeBlock[]> {
  const guide = documents().find(({ file }) => file === "docs/publishing.md")?.text ?? "";
  return new Map(
    guide.split(/^#{2,3} /m).map((text) => [text.split("\n", 1)[0] ?? "", codeBlocks(text)]),
  );
}

function workflowOf(section: string, yaml: CodeBlock, blocks: readonly CodeBlock[]): Workflow {
  const shell = blocks.filter(({ language }) => language === "sh");
  const setUp = shell.find(({ line, code }) => line < yaml.line && !code.startsWith("dewy "));
  const example = shell.find(({ line, code }) => line > yaml.line && code.startsWith("dewy "));
  return {
    section,
    source: yaml.code,
    steps: stepsOf(yaml.code),
    setUp: setUp?.code ?? "",
    rule: /--verify (\S+)/.exec(example?.code ?? "")?.[1] ?? "",
  };
}

function stepsOf(yaml: string): readonly Step[] {
  const script = "console.log(JSON.stringify(Bun.YAML.parse(await Bun.stdin.text())))";
  const json = execFileSync(BUN, ["-e", script], { input: yaml, encoding: "utf8" });
  const { jobs } = JSON.parse(json) as { jobs: Record<string, { steps: Step[] }> };
  return Object.values(jobs).flatMap(({ steps }) => steps);
}

/** What a runner of GitHub has on its path, as far as the workflows use it. */
const PROGRAMS = {
  make: `mkdir -p dist; echo 'echo v1.2.0' >app; tar czf dist/${ARTIFACT} app`,
  sudo: `test "$1 $2" = 'apt-get install'`,
  gh: `if [ "$1 $2" = 'release download' ]; then cp ../last/* .; exit; fi
    test "$1 $2 $3" = 'release create v1.2.0'; shift 3; mkdir ../release; cp "$@" ../release`,
};

/**
 * Makes the key, then runs the commands of the workflow as a runner does; actions are left out.
 *
 * @param secrets The files that the set-up makes, by the name of their secret; other texts as they
 * are.
 * @param programs More scripts on the path.
 * @param outputs The environment that actions would have set.
 */
export async function publish(
  workflow: Workflow,
  secrets: Readonly<Record<string, string>>,
  programs: Readonly<Record<string, string>> = {},
  outputs: Readonly<Record<string, string>> = {},
): Promise<{ release: Release; keys: string }> {
  const { root, keys, run } = await openRunner(programs);
  await run(workflow.setUp, keys, { HOME: keys, COSIGN_PASSWORD: "" });
  const made = await readdir(keys);
  const secretOf = async (name: string): Promise<string> => {
    const value = secrets[name];
    if (value === undefined) throw new Error(`the workflow has an unknown secret: ${name}`);
    return made.includes(value) ? readFile(join(keys, value), "utf8") : value;
  };
  for (const { run: script, env = {} } of workflow.steps) {
    if (script === undefined) continue;
    const resolved: Record<string, string> = {};
    for (const [name, value] of Object.entries(env)) {
      const secret = /^\$\{\{ secrets\.(\w+) \}\}$/.exec(value)?.[1];
      resolved[name] = secret === undefined ? value : (await secretOf(secret)).trim();
    }
    await run(script, join(root, "checkout"), { ...resolved, ...outputs });
  }
  return { release: await readRelease(join(root, "release")), keys };
}

/** Runs commands in a checkout that has been built, and returns what they have released. */
export async function publishBy(
  commands: readonly string[],
): Promise<{ release: Release; checkout: string }> {
  const { root, run } = await openRunner({
    dewy: `exec ${process.execPath} ${join(ROOT, "dist", "cli.js")} "$@"`,
  });
  const checkout = join(root, "checkout");
  for (const script of ["make dist", ...commands]) await run(script, checkout);
  return { release: await readRelease(join(root, "release")), checkout };
}

interface Runner {
  root: string;
  /** The home of the owner of the key. */
  keys: string;
  run(script: string, cwd: string, env?: Readonly<Record<string, string>>): Promise<unknown>;
}

async function openRunner(programs: Readonly<Record<string, string>>): Promise<Runner> {
  const root = await workDirectory();
  const [bin, keys] = [join(root, "bin"), join(root, "keys")];
  for (const directory of [bin, keys, join(root, "checkout")]) await mkdir(directory);
  for (const [name, script] of Object.entries({ ...PROGRAMS, ...programs })) {
    const path = join(bin, name);
    await writeFile(path, `#!/bin/bash -e\n${script}\n`);
    await chmod(path, 0o755);
  }
  const environment = {
    PATH: `${bin}:${process.env.PATH}`,
    HOME: root,
    RUNNER_TEMP: root,
    GITHUB_REF_NAME: "v1.2.0",
  };
  return {
    root,
    keys,
    // As in https://docs.github.com/actions/reference/workflows-and-actions/workflow-syntax#jobsjob_idstepsshell
    run: (script, cwd, env) =>
      promisify(execFile)("bash", ["-e", "-c", script], {
        cwd,
        timeout: 30_000,
        env: { ...environment, ...env },
      }),
  };
}

async function readRelease(directory: string): Promise<Release> {
  const found = await readdir(directory).catch(() => []);
  const names = found.sort((a, b) => Number(b === ARTIFACT) - Number(a === ARTIFACT));
  return Object.fromEntries(
    await Promise.all(names.map(async (name) => [name, await readFile(join(directory, name))])),
  );
}

/** With a short path, for the sockets of GnuPG, whose agents end with the directory. */
async function workDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "dewy-ci-"));
  onTestFinished(() => rm(directory, { recursive: true, force: true, maxRetries: 3 }));
  return directory;
}
