import { readdir } from "node:fs/promises";
import type { CommandContext } from "../../agent/context.ts";
import { chooseInstance } from "../../control/instances.ts";
import { formatBytes } from "../../core/bytes.ts";
import { localTime } from "../../core/duration.ts";
import { operatorText } from "../../core/operator.ts";
import { skippedBy } from "../../deploy/decisions.ts";
import { rollbackChoice } from "../../deploy/rollback_plan.ts";
import {
  type DeployedRelease,
  type DeployState,
  findBad,
  findRelease,
} from "../../deploy/state.ts";
import { openReleaseDirectory, type ReleaseDirectory } from "../../deployers/release_directory.ts";
import { statePath } from "../../host/files/own_paths.ts";
import { readState } from "../../host/files/state_file.ts";
import { treeSize } from "../../host/files/tree_size.ts";
import { jsonLine } from "../../journal/entry.ts";
import { withoutTag } from "../../journal/entry_text.ts";
import { headedTable } from "../commands/text_table.ts";
import type { ReleasesConfig } from "../flags/local.ts";
import { type TerminalStyle, terminalStyle } from "../terminal.ts";

/** A release on disk, as `--json` prints it. Unknown values are `null`. */
interface ListedRelease {
  /** `null` if there is no record of the release. */
  tag: string | null;
  directory: string;
  artifact: string | null;
  digest: string | null;
  revision: string | null;
  stagedAt: string | null;
  /** When it passed its bake for the first time. */
  provenAt: string | null;
  /** On disk; `null` for an image, which the engine keeps. */
  bytes: number | null;
  isCurrent: boolean;
  isBaking: boolean;
  /** Whether `dewy rollback` without a tag would return to it. */
  isRollbackTarget: boolean;
  isPinned: boolean;
  /** Why it is marked bad. */
  bad: string | null;
  /** Why it does not come by itself. */
  skipped: string | null;
}

/** Lists the releases on disk, newest first. */
export async function runReleases(
  config: ReleasesConfig,
  context: CommandContext,
): Promise<number> {
  const { directory: root } = await chooseInstance(config, context.env, context.signals.stop);
  const directory = await openReleaseDirectory(root);
  const state = await readState(statePath(root));
  const releases = await listReleases(directory, state, context.signals.stop);
  const redact = context.redactor(context.env);
  context.stdout.write(
    redact(
      config.json
        ? `${jsonLine({ kind: "releases", directory: root, releases })}\n`
        : releasesText(releases, terminalStyle(context.stdout, context.env)),
    ),
  );
  return 0;
}

async function listReleases(
  directory: ReleaseDirectory,
  state: DeployState,
  signal: AbortSignal,
): Promise<readonly ListedRelease[]> {
  const live = await directory.live();
  const target = await rollbackTarget(directory, state, live);
  const listed: ListedRelease[] = [];
  for (const name of await directory.names()) {
    const isCurrent = name === live;
    listed.push({
      ...recordOf(name, state),
      bytes: await sizeOf(directory.path(name), signal),
      isCurrent,
      isBaking: isCurrent && state.switching?.to === live,
      isRollbackTarget: name === target,
    });
  }
  return listed;
}

async function rollbackTarget(
  directory: ReleaseDirectory,
  state: DeployState,
  live: string | undefined,
): Promise<string | undefined> {
  const left = findRelease(state, live);
  if (left === undefined) return undefined;
  return (await rollbackChoice(state, left.tag, directory.has, ""))?.directory;
}

function recordOf(name: string, state: DeployState) {
  const release = findRelease(state, name);
  return {
    tag: release?.tag ?? null,
    directory: name,
    artifact: release?.artifact ?? null,
    digest: release?.digest ?? null,
    revision: release?.revision ?? null,
    stagedAt: release?.stagedAt ?? null,
    provenAt: release?.provenAt ?? null,
    isPinned: release !== undefined && state.pinned?.tag === release.tag,
    bad: (release && findBad(state, release.tag, release)?.reason) ?? null,
    skipped: (release && skippedText(state, release)) ?? null,
  };
}

function skippedText(state: DeployState, { tag }: DeployedRelease): string | undefined {
  const entry = skippedBy(state, tag, "");
  if (entry === undefined) return undefined;
  const isAlone = entry.tag === tag || !entry.andEarlier;
  return `${isAlone ? "" : `as all up to ${entry.tag}, `}by ${operatorText(entry)}`;
}

/** The record of an image, which is all that its release has on disk. */
const IMAGE_RECORD = "image.json";

async function sizeOf(path: string, signal: AbortSignal): Promise<number | null> {
  const names = await readdir(path).catch(() => []);
  const isImage = names.length === 1 && names[0] === IMAGE_RECORD;
  return isImage ? null : await treeSize(path, signal);
}

function releasesText(releases: readonly ListedRelease[], style: TerminalStyle): string {
  if (releases.length === 0) return "No release is on this machine.\n";
  const rows = releases.map((release) => [
    release.tag ?? `(${release.directory})`,
    release.stagedAt === null ? "-" : localTime(release.stagedAt),
    release.bytes === null ? "-" : formatBytes(release.bytes),
    statesOf(release).join(", "),
  ]);
  return headedTable(["VERSION", "STAGED", "SIZE", "STATE"], rows, style, (line, index) => {
    const release = releases[index];
    if (release?.bad != null) return style.red(line);
    return release?.isCurrent ? style.green(line) : line;
  });
}

function statesOf(release: ListedRelease): readonly string[] {
  const { tag, isCurrent, isBaking, isRollbackTarget, isPinned, bad, skipped } = release;
  const states = [
    isCurrent ? "current" : undefined,
    isBaking ? "baking" : undefined,
    isRollbackTarget ? "rollback target" : undefined,
    isPinned ? "pinned" : undefined,
    tag === null ? "unknown: no record" : undefined,
    skipped === null || isCurrent ? undefined : `skipped ${skipped}`,
    bad === null ? undefined : `bad: ${withoutTag(bad, tag)}`,
  ].filter((state) => state !== undefined);
  return states.length === 0 ? ["kept"] : states;
}
