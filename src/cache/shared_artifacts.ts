import { parseDigest } from "../core/digest.ts";
import { DewyError, IntegrityError } from "../core/error.ts";
import type { Artifact, OpenOptions } from "../core/types.ts";
import { Claim } from "./claim.ts";
import { artifactKey } from "./keys.ts";
import { pruneCache } from "./prune.ts";
import type { SharedStore } from "./shared_store.ts";
import type { CacheBody } from "./types.ts";

type OpenArtifact = (options: OpenOptions) => Promise<ReadableStream<Uint8Array>>;

/** An artifact that a machine needs, and how it downloads it. */
export interface Wanted<T> {
  tag: string;
  artifact: Artifact;
  /** Opens it at the registry. */
  open: OpenArtifact;
  /** Downloads it, and rejects with an IntegrityError if the bytes are not those that the registry states. */
  download(open: OpenArtifact): Promise<T>;
  /** The bytes of a finished download. */
  bodyOf(downloaded: T): CacheBody;
  signal: AbortSignal;
}

const MAX_WAIT_MS = 5_000;
/** However often its owner renews a claim. */
const PATIENCE_MS = 10 * 60_000;
/** A store that can only be read would be asked for a claim again and again. */
const MAX_SLOW_CLAIMS = 1;
const UPLOAD_MS = 15 * 60_000;
const PRUNE_MS = 60_000;

/**
 * Fetches each artifact once for all machines with the same store: one downloads it and, once its digest was checked,
 * uploads it; the others take it from the store and check it in the same way. An artifact without a cryptographic digest
 * is not shared: nobody could check what another machine has written.
 */
export class SharedArtifacts {
  readonly #shared: SharedStore;

  constructor(shared: SharedStore) {
    this.#shared = shared;
  }

  async obtain<T>(wanted: Wanted<T>): Promise<T> {
    const { tag, artifact } = wanted;
    const { digest } = artifact;
    if (digest === undefined || !isCryptographic(digest)) return wanted.download(wanted.open);
    const key = await artifactKey(tag, artifact.url, digest);
    const { outcome, downloaded } = await this.#takeOrFetch(key, wanted);
    this.#shared.emit({ type: "cache", what: "artifact", outcome, tag, artifact: artifact.name });
    return downloaded;
  }

  async #takeOrFetch<T>(key: string, wanted: Wanted<T>): Promise<Obtained<T>> {
    const taken = await this.#take(key, wanted);
    if (taken.kind === "done") return { outcome: "hit", downloaded: taken.downloaded };
    if (taken.kind === "failed") return this.#fetchAlone(wanted);
    if (await this.#shared.isAtomic(wanted.signal)) return this.#fetchOrFollow(key, wanted);
    // Without conditional writes, several machines may fetch the same artifact.
    return this.#shared.isPlain ? this.#fetchForAll(key, wanted) : this.#fetchAlone(wanted);
  }

  async #fetchOrFollow<T>(key: string, wanted: Wanted<T>): Promise<Obtained<T>> {
    const { clock } = this.#shared;
    const { signal } = wanted;
    const claim = new Claim(key, this.#shared);
    const start = clock.monotonic();
    let slow = 0;
    for (let attempt = 0; clock.monotonic() - start < PATIENCE_MS; attempt += 1) {
      const outcome = await claim.take(signal);
      if (outcome === "slow") slow += 1;
      if (outcome === "failed" || slow > MAX_SLOW_CLAIMS) break;
      if (outcome === "held") return claim.during(() => this.#fetchUnlessThere(key, wanted));
      await this.#shared.wait(attempt, MAX_WAIT_MS, signal);
      if (await claim.isTaken(signal)) continue;
      const taken = await this.#take(key, wanted);
      if (taken.kind === "done") return { outcome: "hit", downloaded: taken.downloaded };
      if (taken.kind === "failed") break;
    }
    return this.#fetchAlone(wanted);
  }

  async #fetchAlone<T>(wanted: Wanted<T>): Promise<Obtained<T>> {
    return { outcome: "failed", downloaded: await wanted.download(wanted.open) };
  }

  /** The artifact is stored after it was checked. */
  async #fetchForAll<T>(key: string, wanted: Wanted<T>): Promise<Obtained<T>> {
    const { store } = this.#shared;
    const { signal } = wanted;
    const downloaded = await wanted.download(wanted.open);
    const body = wanted.bodyOf(downloaded);
    const upload = (limited: AbortSignal): Promise<void> => store.upload(key, body, limited);
    const uploaded = await this.#shared.try("write", signal, upload, { ms: UPLOAD_MS });
    if ("error" in uploaded) return { outcome: "failed", downloaded };
    await this.#prune(signal);
    return { outcome: "miss", downloaded };
  }

  /** Once a release, by the machine that has uploaded it. */
  async #prune(signal: AbortSignal): Promise<void> {
    const { store } = this.#shared;
    const prune = (limited: AbortSignal) => pruneCache(store, { signal: limited });
    await this.#shared.try("prune", signal, prune, { ms: PRUNE_MS });
  }

  /** Another machine may have finished between the look at the store and the claim. */
  async #fetchUnlessThere<T>(key: string, wanted: Wanted<T>): Promise<Obtained<T>> {
    const taken = await this.#take(key, wanted);
    if (taken.kind !== "done") return this.#fetchForAll(key, wanted);
    return { outcome: "hit", downloaded: taken.downloaded };
  }

  /** Takes it from the store. What a broken transfer leaves out comes from the registry. */
  async #take<T>(key: string, wanted: Wanted<T>): Promise<Taken<T>> {
    let calls = 0;
    let hasEnded = false;
    const flush = (): void => {
      hasEnded = true;
    };
    const open: OpenArtifact = async (options) => {
      calls += 1;
      if (calls > 1) return wanted.open(options);
      const opened = await this.#open(key, options, wanted);
      if ("error" in opened) throw new NotInStore("failed");
      if (opened.value === undefined) throw new NotInStore("missing");
      options.onValidator?.(undefined);
      return opened.value.pipeThrough(new TransformStream({ flush }));
    };
    try {
      const downloaded = await wanted.download(open);
      // Unlike a broken transfer, an object that is too short would cost every machine a download.
      if (calls > 1 && hasEnded) await this.#removeWrong(key, wanted);
      return { kind: "done", downloaded };
    } catch (error) {
      if (error instanceof NotInStore) return { kind: error.why };
      if (!(error instanceof IntegrityError && error.retryable)) throw error;
      await this.#removeWrong(key, wanted);
      return { kind: "missing" };
    }
  }

  #open(key: string, { offset }: OpenOptions, { signal }: Pick<Wanted<unknown>, "signal">) {
    const { store } = this.#shared;
    // The stream outlives the deadline.
    return this.#shared.try("read", signal, (limited) =>
      store.open(key, { offset, signal: AbortSignal.any([signal, limited]) }),
    );
  }

  async #removeWrong<T>(key: string, { artifact, tag, signal }: Wanted<T>): Promise<void> {
    const { store } = this.#shared;
    const fields = { cache: store.name, tag, artifact: artifact.name, key };
    const message = "The cache has other bytes than the registry states; they are replaced";
    this.#shared.emit({ type: "warning", important: true, message, fields });
    await this.#shared.try("write", signal, (limited) => store.remove(key, limited));
  }
}

interface Obtained<T> {
  outcome: "hit" | "miss" | "failed";
  downloaded: T;
}

type Taken<T> = { kind: "done"; downloaded: T } | { kind: "missing" } | { kind: "failed" };

/** Ends a download at once. */
class NotInStore extends DewyError {
  readonly why: "missing" | "failed";

  constructor(why: NotInStore["why"]) {
    super("The artifact is not in the cache", { code: "not-found", fault: "remote" });
    this.why = why;
  }
}

const CRYPTOGRAPHIC = new Set(["sha256", "sha384", "sha512", "sha1", "md5"]);

/** Whether other bytes of the same digest cannot be found. For a given file this holds for MD5 and SHA-1 as well. */
function isCryptographic(digest: string): boolean {
  return CRYPTOGRAPHIC.has(parseDigest(digest)?.algorithm ?? "");
}
