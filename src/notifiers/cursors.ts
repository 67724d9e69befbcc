import { join } from "node:path";
import * as v from "valibot";
import { exclusive } from "../core/concurrency.ts";
import {
  hostError,
  readOwnFileIfPresent,
  removeTemporaries,
  writeFileAtomic,
} from "../host/files/atomic_file.ts";
import { ownDirectory } from "../host/files/own_directory.ts";

/** The last entry of the journal that is settled for a notifier: delivered, given up, or of no interest. */
export interface Cursor {
  /** Absent if there was no entry yet. */
  id?: string | undefined;
  /** In ISO 8601. */
  at: string;
}

const FORGOTTEN_MS = 30 * 24 * 60 * 60_000;

const File = v.pipe(
  v.string(),
  v.parseJson(),
  v.object({
    format: v.literal(1),
    /** By the hash of the notifier's URL, which may be a secret. */
    notifiers: v.record(v.string(), v.object({ id: v.optional(v.string()), at: v.string() })),
  }),
);

/** The file `.dewy/notified.json`. */
export class Cursors {
  readonly #directory: string;
  readonly #exclusively = exclusive();
  readonly #cursors: Map<string, Cursor>;
  /** Whether there is a file that says nothing. */
  readonly isUnreadable: boolean;
  #isChanged = false;

  private constructor(directory: string, cursors: Map<string, Cursor>, isUnreadable: boolean) {
    this.#directory = directory;
    this.#cursors = cursors;
    this.isUnreadable = isUnreadable;
  }

  /** What cannot be read counts as empty. */
  static async load(root: string): Promise<Cursors> {
    const directory = join(root, ".dewy");
    const path = pathIn(directory);
    await removeTemporaries(path);
    const text = await readOwnFileIfPresent(path).catch(() => undefined);
    const { success, output } = v.safeParse(File, text);
    const cursors = new Map(Object.entries(success ? output.notifiers : {}));
    return new Cursors(directory, cursors, text !== undefined && !success);
  }

  get(key: string): Cursor | undefined {
    return this.#cursors.get(key);
  }

  /** Moves a cursor in memory. */
  set(key: string, { id, at }: Cursor): void {
    this.#cursors.set(key, { id, at });
    this.#isChanged = true;
  }

  /** Writes the cursors as they are now; several calls at once share a write. */
  async save(): Promise<void> {
    await this.#exclusively(async () => {
      if (!this.#isChanged) return;
      this.#isChanged = false;
      try {
        const directory = await ownDirectory(this.#directory, 0o755);
        await writeFileAtomic(pathIn(directory), this.#text());
      } catch (cause) {
        this.#isChanged = true;
        throw hostError(`write ${pathIn(this.#directory)}`, cause);
      }
    });
  }

  #text(): string {
    const times = [...this.#cursors.values()].map(({ at }) => Date.parse(at));
    const oldest = Math.max(...times) - FORGOTTEN_MS;
    const kept = [...this.#cursors].filter(([, { at }]) => Date.parse(at) >= oldest);
    return `${JSON.stringify({ format: 1, notifiers: Object.fromEntries(kept) }, undefined, 2)}\n`;
  }
}

function pathIn(directory: string): string {
  return join(directory, "notified.json");
}
