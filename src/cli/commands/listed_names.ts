import type { ListedTags } from "../../verify/types.ts";

/** The tags that a registry lists while it looks for the newest version, for `--verify index`. */
export class ListedNames {
  readonly #tags = new Set<string>();
  readonly #calver: string;

  constructor({ calver }: Pick<ListedTags, "calver">) {
    this.#calver = calver;
  }

  readonly add = (tag: string): void => void this.#tags.add(tag);

  /** Returns `undefined` if the registry does not list its tags. */
  listing(): ListedTags | undefined {
    return this.#tags.size === 0 ? undefined : { tags: this.#tags, calver: this.#calver };
  }
}
