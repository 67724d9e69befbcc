import { formatDuration } from "../../core/duration.ts";
import type {
  ExplainedTag,
  ReadyResolution,
  Registry,
  Resolution,
  ResolveOptions,
} from "../../core/types.ts";
import { publicationWait, type Wait } from "../../deploy/gate.ts";

/** What a minimum age does to an answer, as on a machine where nothing runs yet. */
interface AgeAnswer {
  minAgeMs: number;
  /** The age of the chosen version; `undefined` without one, or if the registry states no date. */
  ageMs: number | undefined;
  /** The newer versions that are too young, newest first. */
  waiting: readonly Wait[];
}

export interface Aged {
  resolution: Resolution;
  /** Absent without a minimum age. */
  age?: AgeAnswer;
}

/** Resolves the newest version that is old enough. */
export async function resolveAged(
  registry: Registry,
  options: Pick<ResolveOptions, "explain" | "signal">,
  { minAgeMs, now }: { minAgeMs: number; now: number },
): Promise<Aged> {
  if (minAgeMs === 0) return { resolution: await registry.resolve(options) };
  const waiting: Wait[] = [];
  for (;;) {
    const exclude = waiting.map(({ tag }) => tag);
    const resolution = await registry.resolve({ ...options, exclude });
    const isIgnored = resolution.kind === "ready" && exclude.includes(resolution.release.tag);
    const answer = isIgnored ? tooYoung(resolution) : resolution;
    const wait =
      answer.kind === "ready" ? publicationWait(answer.release, minAgeMs, now) : undefined;
    if (wait === undefined) {
      return { resolution: answer, age: { minAgeMs, ageMs: ageOf(answer, now), waiting } };
    }
    waiting.push(wait);
  }
}

/** The answer of a registry that ignores `exclude` and offers only a version that is too young. */
function tooYoung({ release, explanation }: ReadyResolution): Resolution {
  const { tag } = release;
  const message = `the registry offers only ${tag}, which is too young`;
  return { kind: "none", reason: "filtered", tag, message, ...(explanation && { explanation }) };
}

function ageOf(resolution: Resolution, now: number): number | undefined {
  const published = resolution.kind === "ready" ? resolution.release.createdAt : undefined;
  return published === undefined ? undefined : now - published.getTime();
}

/** The lines of `dewy check` and `dewy explain` on the age. */
export function ageRows(
  resolution: Resolution,
  { minAgeMs, ageMs, waiting }: AgeAnswer,
): [name: string, value: string | undefined][] {
  const isReady = resolution.kind === "ready";
  const age = ageMs === undefined ? "unknown, so it does not wait" : wholeSeconds(ageMs);
  return [
    ["age", isReady ? age : undefined],
    ["min-age", formatDuration(minAgeMs)],
    ...waiting.map((wait): [string, string] => ["waiting", `${wait.tag} ${waitText(wait)}`]),
  ];
}

function waitText({ until, reason }: Wait): string {
  return until === undefined ? reason : `until ${until.toISOString()}: ${reason}`;
}

function wholeSeconds(ms: number): string {
  return formatDuration(Math.trunc(ms / 1_000) * 1_000);
}

/** The JSON of the same. */
export function ageJson({ minAgeMs, ageMs, waiting }: AgeAnswer) {
  return {
    minAgeMs,
    ageMs: ageMs ?? null,
    waiting: waiting.map(({ tag, why, reason, until }) => ({
      tag,
      why,
      reason,
      until: until?.toISOString() ?? null,
    })),
  };
}

/** Marks the tags that are too young as waiting. */
export function agedTags(
  tags: readonly ExplainedTag[],
  { waiting }: AgeAnswer,
): readonly ExplainedTag[] {
  const waits = new Map(waiting.map((wait) => [wait.tag, waitText(wait)]));
  return tags.map((one) => {
    const wait = waits.get(one.tag);
    return wait === undefined ? one : { ...one, reason: `too young; it waits ${wait}` };
  });
}
