import { chmod } from "node:fs/promises";
import { join } from "node:path";
import type { CommandContext } from "../../agent/context.ts";
import { openConfigured } from "../../agent/open_configured.ts";
import { findInstances } from "../../control/instances.ts";
import { ArchiveError, ConfigError, HostError } from "../../core/error.ts";
import type { Proof } from "../../core/proof.ts";
import type { ReadyResolution, Registry } from "../../core/types.ts";
import { EXTRACT_LIMITS } from "../../host/archive/budget.ts";
import { extractArchive } from "../../host/archive/extract.ts";
import { run } from "../../host/process/run.ts";
import { compareVersions } from "../../version/version.ts";
import { NOT_READY, writeResolution } from "../commands/check.ts";
import { proofLine } from "../commands/proved.ts";
import { openProver } from "../commands/prover.ts";
import { withDownload } from "../commands/with_download.ts";
import type { UpgradeConfig } from "./config.ts";
import { findInstallation, type Installation } from "./installation.ts";
import { replaceProgram, withStaging } from "./replace.ts";

/** The program in an archive of a release. */
const PROGRAM = "dewy";
const START_TIMEOUT_MS = 60_000;

/** Replaces this binary by another version, or says what owns the file and how to upgrade that. */
export async function runUpgrade(config: UpgradeConfig, context: CommandContext): Promise<number> {
  const { stdout, signals, env, version } = context;
  const registry = await openConfigured(config, context);
  const resolution = await registry.resolve({ tag: config.to, signal: signals.stop });
  if (resolution.kind !== "ready") {
    writeResolution({ resolution }, { json: false }, context);
    return NOT_READY;
  }
  const { tag } = resolution.release;
  if (!isWanted(tag, version, config)) {
    stdout.write(`dewy ${version} is up to date; the newest version is ${tag}\n`);
    return 0;
  }
  const installation = await findInstallation(tag.replace(/^v/, ""), env);
  if (config.onlyCheck) {
    stdout.write(
      `${tag} is available; this is ${version}. To upgrade: ${adviceOf(installation)}\n`,
    );
    return 0;
  }
  if (installation.kind === "managed") {
    const { path, owner, command } = installation;
    throw new ConfigError(`Cannot upgrade ${path}: it belongs to ${owner}; use: ${command}`);
  }
  const { path } = installation;
  const proofs = await upgrade(path, resolution, registry, config, context);
  stdout.write(`Upgraded ${path} from ${version} to ${tag}\n`);
  for (const proof of proofs) stdout.write(`verified ${proofLine(proof)}\n`);
  stdout.write(await restartAdvice(context));
  return 0;
}

/** A version that was named may also be an older one. */
function isWanted(tag: string, version: string, { to }: UpgradeConfig): boolean {
  const order = compareVersions(tag, version);
  return to === undefined ? order > 0 : order !== 0;
}

function adviceOf(installation: Installation): string {
  return installation.kind === "managed" ? installation.command : "dewy upgrade";
}

async function upgrade(
  path: string,
  resolution: ReadyResolution,
  registry: Registry,
  config: UpgradeConfig,
  context: CommandContext,
): Promise<readonly Proof[]> {
  const { tag } = resolution.release;
  const { name } = resolution.artifact;
  const { stop: signal } = context.signals;
  return withStaging(path, (parent) =>
    withDownload(resolution, { registry, config, parent }, context, async (subject, file) => {
      if (file === undefined) {
        throw new ConfigError(`Cannot upgrade to ${tag}: an image has no program to take`);
      }
      const isUnverified = config.verify.includes("none");
      const prover = isUnverified ? undefined : await openProver(config, context);
      const proofs = (await prover?.prove(subject)) ?? [];
      const directory = join(parent, "new");
      await extractArchive({ file, name, directory, limits: EXTRACT_LIMITS, signal });
      const program = join(directory, PROGRAM);
      await tryOut(program, tag, name, context);
      await replaceProgram(program, path);
      return proofs;
    }),
  );
}

/** What does not start here, or is another version, must not take the place of what works. */
async function tryOut(
  program: string,
  tag: string,
  name: string,
  { env, signals }: CommandContext,
): Promise<void> {
  const cannot = `Cannot upgrade to ${tag}`;
  await chmod(program, 0o755).catch((cause) => {
    throw new ArchiveError(`${cannot}: "${name}" has no program "${PROGRAM}"`, { cause });
  });
  const { stop: signal } = signals;
  const command = [program, "--version"] as const;
  const started = await run({ command, cwd: "/", env, timeoutMs: START_TIMEOUT_MS, signal });
  const { exitCode, stdout, stderr } = started;
  if (exitCode !== 0) {
    const said = stderr.trim().split("\n").at(-1);
    throw new HostError(
      `${cannot}: its program does not run on this machine (${said || `exit code ${exitCode}`}); this version stays`,
    );
  }
  const [, version] = /^dewy version: (\S+)/.exec(stdout) ?? [];
  if (version !== undefined && compareVersions(version, tag) === 0) return;
  throw new ArchiveError(
    `${cannot}: "${name}" contains ${version ?? "another program"}; report it to who has published it`,
  );
}

async function restartAdvice({ env, version }: CommandContext): Promise<string> {
  const { instances } = await findInstances(env);
  const names = instances.filter((one) => one.isRunning).map(({ name }) => name);
  if (names.length === 0) return "";
  return `Still running ${version}, until you restart dewy: ${names.join(", ")}\n`;
}
