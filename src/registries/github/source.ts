import type { Clock } from "../../core/clock.ts";
import type { EventSink } from "../../core/event.ts";
import type { Artifact, Resolution } from "../../core/types.ts";
import {
  isAtMost,
  type ListedTag,
  type ReleaseFiles,
  type ReleaseSource,
  type ResolveOptions,
} from "../../resolve/resolve.ts";
import { compilePolicy } from "../../version/load_constraint.ts";
import { NewestTag } from "../../version/version.ts";
import { isAuditName } from "../audit.ts";
import type { GitHubClient } from "./client.ts";
import { formatGhrArtifactUrl, type GhrLocator } from "./locator.ts";
import type { RateLimit } from "./rate_limit.ts";
import type { GitHubRepository } from "./repository.ts";
import type { GitHubAsset, GitHubRelease } from "./schema.ts";
export interface GhrSourceIo {
  github: Pick<GitHubClient, "auth" | "limit">;
  repository: GitHubRepository;
  clock: Clock;
  emit: EventSink;
  random?: () => number;
}

/** The state of the repository after the last complete listing. */
interface Knowledge {
  /** Tags and what they point at; `undefined` where Git refs cannot be read. */
  tags: ReadonlyMap<string, string> | undefined;
  /** Releases by tag, in GitHub's order. */
  releases: Map<string, GitHubRelease>;
  pages: number;
  /** When the whole list is due, whatever the tags say. */
  listDueAt: number;
}

/** A tag whose release is yet to come. Times are those of {@link Clock.monotonic}. */
interface Unreleased {
  since: number;
  askedAt: number;
}

/** So many tags without a release are looked after at the same time, the newest ones. */
const MAX_UNRELEASED = 5;
/** So many tags above the newest release are looked at. */
const MAX_NEWER = 20;
type Question = Pick<ResolveOptions, "exclude" | "since">;

/** So many releases are read for a single question before the list is. */
const MAX_READS = 10;
const UNRELEASED = "without a release";

/**
 * The tags and releases of a repository, polled as docs/github-polling.md says: the tags at every poll, the list of
 * releases when they change and at a slow pace, a single release while it is awaited.
 */
export class GhrSource implements ReleaseSource {
  readonly #locator: GhrLocator;
  readonly #io: GhrSourceIo;
  #known: Knowledge | undefined;
  /** What was read for the last single question, by tag; `undefined`: the tag has no release. */
  readonly #read: Map<string, GitHubRelease | undefined> = new Map();
  /** Releases that would have been chosen, but had no artifact for us. */
  readonly #incomplete: Set<string> = new Set();
  /** Tags that are newer than the newest release that can be chosen, by tag; each has its own grace period. */
  #unreleased: ReadonlyMap<string, Unreleased> = new Map();
  #polledAt = Number.NEGATIVE_INFINITY;
  #spacedUntil = Number.NEGATIVE_INFINITY;
  #announcedSpacingMs = 0;

  constructor(locator: GhrLocator, io: GhrSourceIo) {
    this.#locator = locator;
    this.#io = io;
  }

  /** Takes note of what became of a listing, so that the next poll looks after a release that is incomplete. */
  settle(resolution: Resolution): void {
    const missing =
      resolution.kind === "pending" ||
      (resolution.kind === "none" && resolution.reason === "artifact-missing");
    if (missing && resolution.tag !== undefined) this.#incomplete.add(resolution.tag);
  }

  /** Makes the next poll read everything again, after a listed file turned out to be gone. */
  expire(): void {
    if (this.#known !== undefined) this.#known.listDueAt = Number.NEGATIVE_INFINITY;
  }

  /**
   * Answers a single question without the list of releases: the tags that the policy prefers are looked up one by one, down
   * to the first release that can be chosen. If that does not settle the answer, the list is read.
   */
  single(question: Question): ReleaseSource {
    if (this.#known !== undefined) return this;
    return {
      tags: (signal) => this.#newestTag(question, signal),
      release: (tag) => this.release(tag),
    };
  }

  /** Reads the first releases one by one, and the list where there are more. */
  browse(): Pick<ReleaseSource, "tags" | "release"> {
    if (this.#known !== undefined) return this;
    let found: { tags: ReadonlyMap<string, string> } | undefined;
    let reads = 0;
    const { repository } = this.#io;
    const tags = async function* (
      this: GhrSource,
      signal?: AbortSignal,
    ): AsyncGenerator<ListedTag> {
      found = await repository.tags(signal);
      if (found === undefined) yield* this.tags(signal);
      else for (const tag of found.tags.keys()) yield { tag };
    };
    return {
      tags: tags.bind(this),
      release: async (tag, signal) => {
        if (this.#known === undefined && reads++ < MAX_READS) return this.find(tag, signal);
        if (this.#known === undefined) await this.#readList(found?.tags, signal);
        return this.release(tag);
      },
    };
  }

  async *#newestTag(
    question: Question,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<ListedTag> {
    const found = await this.#io.repository.tags(signal);
    const newest = await this.#findNewest([...(found?.tags.keys() ?? [])], question, signal);
    if (newest === undefined) {
      await this.#readList(found?.tags, signal);
      yield* this.#listed();
    } else {
      yield { tag: newest, preRelease: this.#read.get(newest)?.prerelease };
    }
  }

  /** The newest version, of which the release was read, or that the caller has; `undefined` if the tags do not tell. */
  async #findNewest(
    tags: readonly string[],
    { exclude = [], since }: Question,
    signal: AbortSignal | undefined,
  ): Promise<string | undefined> {
    const satisfies = await compilePolicy(this.#locator);
    const passedOver = [...exclude];
    this.#read.clear();
    for (let reads = 0; ; reads += 1) {
      const newest = new NewestTag({ ...this.#locator, exclude: passedOver }, satisfies);
      for (const tag of tags) newest.offer(tag, this.#read.get(tag)?.prerelease);
      const { tag } = newest;
      if (tag !== undefined && isAtMost(tag, since, this.#locator)) return tag;
      // Of equal versions, the one that GitHub lists first is chosen.
      if (tag === undefined || newest.isTied) return undefined;
      if (this.#read.has(tag)) return tag;
      if (reads === MAX_READS) return undefined;
      const release = await this.#io.repository.release(tag, signal);
      this.#read.set(tag, release);
      if (release === undefined) passedOver.push(tag);
      else if (!release.prerelease || this.#locator.preRelease) return tag;
    }
  }

  /** Lists the tags of all releases; asks GitHub first, unless polls are spaced. */
  async *tags(signal?: AbortSignal): AsyncGenerator<ListedTag> {
    if (!this.#isSpaced()) await this.#poll(signal);
    yield* this.#listed();
  }

  *#listed(): Generator<ListedTag> {
    const known = this.#known;
    for (const release of known?.releases.values() ?? []) {
      if (release.draft) yield { tag: release.tag_name, unusable: "draft" };
      else yield { tag: release.tag_name, preRelease: release.prerelease };
    }
    for (const tag of known?.tags?.keys() ?? []) {
      if (!known?.releases.has(tag)) yield { tag, unusable: UNRELEASED };
    }
  }

  async release(tag: string): Promise<ReleaseFiles | undefined> {
    return this.#filesOf(this.#published(tag));
  }

  /** Asks GitHub, whatever has been listed. */
  async find(tag: string, signal?: AbortSignal): Promise<ReleaseFiles | undefined> {
    return this.#filesOf(await this.#io.repository.release(tag, signal));
  }

  #filesOf(release: GitHubRelease | undefined): ReleaseFiles | undefined {
    if (release === undefined) return undefined;
    const tag = release.tag_name;
    return {
      id: String(release.id),
      createdAt: new Date(release.published_at ?? release.created_at),
      isUploading: release.assets.some((asset) => asset.state !== "uploaded"),
      preRelease: release.prerelease,
      notes: release.body ?? undefined,
      page: release.html_url,
      files: uploadedAssets(release).map((asset) => artifactOf(this.#locator, tag, asset)),
    };
  }

  /** An asset that was listed, from memory. */
  asset(tag: string, name: string): GitHubAsset | undefined {
    const release = this.#published(tag);
    return release === undefined ? undefined : findAsset(release, name);
  }

  /** The address for uploads to a listed release, from memory. */
  uploadUrl(id: string): string | undefined {
    const releases = [...(this.#known?.releases ?? this.#read).values()];
    return releases.find((known) => String(known?.id) === id)?.upload_url;
  }

  #published(tag: string): GitHubRelease | undefined {
    const release = (this.#known?.releases ?? this.#read).get(tag);
    return release?.draft ? undefined : release;
  }

  async #poll(signal: AbortSignal | undefined): Promise<void> {
    const { repository, clock } = this.#io;
    const found = await repository.tags(signal);
    const known = this.#known;
    if (
      known === undefined ||
      found === undefined ||
      clock.monotonic() >= known.listDueAt ||
      !sameTags(known.tags, found.tags)
    ) {
      await this.#readList(found?.tags, signal);
    } else {
      await this.#readAwaited(known, signal);
    }
    this.#unreleased = await this.#newerUnreleased(known?.tags);
    this.#polledAt = clock.monotonic();
    this.#space((found?.pages ?? 1) + this.#awaited().length);
    // Several machines can have asked about one listing: what one of them misses counts until the next.
    this.#incomplete.clear();
  }

  async #readList(
    tags: ReadonlyMap<string, string> | undefined,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const { repository, clock, github, random = Math.random } = this.#io;
    const { items, pages } = await repository.releases(signal);
    const releases = new Map<string, GitHubRelease>();
    for (const release of items) {
      // A draft can name the tag of a published release.
      if (releases.get(release.tag_name)?.draft ?? true) releases.set(release.tag_name, release);
    }
    const anonymous = github.auth.kind === "anonymous";
    const listDueAt = clock.monotonic() + listingPauseMs(pages, anonymous, random);
    this.#known = { tags, releases, pages, listDueAt };
  }

  /** Looks after single releases between two listings. */
  async #readAwaited(known: Knowledge, signal: AbortSignal | undefined): Promise<void> {
    for (const tag of this.#awaited()) {
      const release = await this.#io.repository.release(tag, signal);
      const unreleased = this.#unreleased.get(tag);
      if (unreleased !== undefined) unreleased.askedAt = this.#io.clock.monotonic();
      if (release !== undefined) known.releases.set(tag, release);
      else if (known.releases.has(tag)) return this.#readList(known.tags, signal);
    }
  }

  #awaited(): string[] {
    const now = this.#io.clock.monotonic();
    const due = [...this.#unreleased].filter(([, { since, askedAt }]) =>
      isReleaseDue(now, since, askedAt),
    );
    return [...this.#incomplete, ...due.map(([tag]) => tag)];
  }

  /**
   * The tags whose release is awaited. A tag that was there before, without ever getting one, must not keep dewy from
   * looking after those that come now.
   */
  async #newerUnreleased(
    before: ReadonlyMap<string, string> | undefined,
  ): Promise<Map<string, Unreleased>> {
    const now = this.#io.clock.monotonic();
    const awaited = new Map<string, Unreleased>();
    for (const [index, tag] of (await this.#tagsWithoutRelease()).entries()) {
      const isNews = before === undefined ? index === 0 : !before.has(tag);
      const one = this.#unreleased.get(tag) ?? (isNews ? { since: now, askedAt: now } : undefined);
      if (one === undefined || now - one.since > RELEASE_GRACE_MS) continue;
      awaited.set(tag, one);
      if (awaited.size === MAX_UNRELEASED) break;
    }
    return awaited;
  }

  /** The tags that could be chosen if they had a release, newest first, down to the newest release. */
  async #tagsWithoutRelease(): Promise<string[]> {
    const satisfies = await compilePolicy(this.#locator);
    const tags = [...(this.#known?.tags?.keys() ?? [])];
    const found: string[] = [];
    while (found.length < MAX_NEWER) {
      const newest = new NewestTag({ ...this.#locator, exclude: found }, satisfies);
      for (const tag of tags) newest.offer(tag, this.#published(tag)?.prerelease ?? false);
      if (newest.tag === undefined || this.#published(newest.tag) !== undefined) break;
      found.push(newest.tag);
    }
    return found;
  }

  /** Without a token, unchanged answers count against the rate limit as well. */
  #space(cost: number): void {
    const { github, clock } = this.#io;
    if (github.auth.kind !== "anonymous" || github.limit === undefined) return;
    this.#spacedUntil = nextPollAt(clock.monotonic(), github.limit, cost, this.#known?.pages ?? 1);
  }

  #isSpaced(): boolean {
    const { clock } = this.#io;
    const leftMs = this.#spacedUntil - clock.monotonic();
    if (this.#known === undefined || leftMs <= 0) return false;
    const spacingMs = this.#spacedUntil - this.#polledAt;
    if (Math.abs(spacingMs - this.#announcedSpacingMs) > this.#announcedSpacingMs / 2) {
      this.#announcedSpacingMs = spacingMs;
      this.#io.emit({
        type: "poll-spaced",
        registry: this.#locator.url,
        nextAt: new Date(clock.now() + leftMs),
        reason: "GitHub counts every request without a token; set GH_TOKEN or GITHUB_TOKEN",
      });
    }
    return true;
  }
}

function sameTags(
  a: ReadonlyMap<string, string> | undefined,
  b: ReadonlyMap<string, string>,
): boolean {
  if (a === undefined || a.size !== b.size) return false;
  for (const [tag, sha] of a) if (b.get(tag) !== sha) return false;
  return true;
}

function uploadedAssets(release: GitHubRelease): GitHubAsset[] {
  return release.assets.filter((asset) => asset.state === "uploaded" && !isAuditName(asset.name));
}

export function findAsset(release: GitHubRelease, name: string): GitHubAsset | undefined {
  return uploadedAssets(release).find((asset) => asset.name === name);
}

/** Changes with the bytes of an asset. */
export function revisionOf(asset: GitHubAsset): string {
  return `${asset.id}@${asset.updated_at}`;
}

function artifactOf(locator: GhrLocator, tag: string, asset: GitHubAsset): Artifact {
  const { owner, repo } = locator;
  const { name, size } = asset;
  const digest = asset.digest?.toLowerCase() ?? "";
  return {
    name,
    url: formatGhrArtifactUrl({ owner, repo, tag, artifact: name }),
    size,
    revision: revisionOf(asset),
    digest: /^sha256:[0-9a-f]{64}$/.test(digest) ? digest : undefined,
  };
}

/** How often the whole list of releases is read although no tag has changed, in milliseconds. */
export const FULL_LISTING_MS: number = 15 * 60_000;
/** Without a token, every page of that list counts against the rate limit: at most a fifth of the usual 60 requests an hour. */
const ANONYMOUS_PAGE_MS = 5 * 60_000;

/** A tag without a release is asked for at every poll while it is this young, in milliseconds … */
const EAGER_MS = 2 * 60_000;
/** … then this often, because a 404 counts against the rate limit, … */
const PATIENT_MS = 30_000;
/** … and no longer than this after it was first seen. */
export const RELEASE_GRACE_MS: number = 30 * 60_000;

export function listingPauseMs(pages: number, anonymous: boolean, random: () => number): number {
  const pause = anonymous ? Math.max(FULL_LISTING_MS, pages * ANONYMOUS_PAGE_MS) : FULL_LISTING_MS;
  return pause * (0.95 + random() * 0.1);
}

/** Whether a tag without a release is worth another question. */
export function isReleaseDue(now: number, since: number, askedAt: number): boolean {
  if (now - since > RELEASE_GRACE_MS) return false;
  return now - since <= EAGER_MS || now - askedAt >= PATIENT_MS;
}

/**
 * When a client without a token may ask again, so that its rate limit lasts until the next window. A reserve stays
 * untouched for what a new release costs: the whole list, twice, and the download.
 */
export function nextPollAt(now: number, limit: RateLimit, cost: number, pages: number): number {
  const reserve = Math.min(Math.floor(limit.limit / 2), 5 + 2 * pages);
  const polls = Math.floor((limit.remaining - reserve) / Math.max(1, cost));
  const untilReset = Math.max(0, limit.resetAt - now);
  return now + (polls <= 0 ? untilReset + 1_000 : Math.ceil(untilReset / polls));
}
