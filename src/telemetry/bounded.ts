/** The first names that come, and `other` for the rest: a bound for the values of an attribute. */
export class Bounded {
  readonly #known = new Set<string>();
  readonly #limit: number;

  constructor(limit: number) {
    this.#limit = limit;
  }

  name(name: string): string {
    if (this.#known.has(name)) return name;
    if (this.#known.size >= this.#limit) return "other";
    this.#known.add(name);
    return name;
  }
}
