import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

/** One case: what goes in, and what comes out or that it is refused. */
export interface VectorCase {
  name: string;
  op: string;
  in: Record<string, unknown>;
  out?: unknown;
  error?: boolean;
}

interface NotFollowed {
  vectors: string;
  case: string;
  reason: string;
}

/** Marks an outcome that is an error in the vectors. */
export const REFUSED: unique symbol = Symbol("refused");

function readJson<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(`../vectors/${name}.json`, import.meta.url), "utf8")) as T;
}

/** The vectors that are deliberately not followed, with the reasons. */
export const notFollowed: readonly NotFollowed[] = readJson<NotFollowed[]>("not_followed");

/** @returns the cases of one file under test/vectors. */
export function readVectors(name: string): readonly VectorCase[] {
  return readJson<VectorCase[]>(name);
}

/**
 * Declares one test a case. `run` gives what we answer, or a promise of it, in the vector's own terms; a case that is
 * listed in not_followed.json must differ, so that the list stays true.
 */
export function testVectors(
  name: string,
  run: (vector: VectorCase) => unknown,
  ops?: readonly string[],
): void {
  for (const vector of readVectors(name)) {
    if (ops !== undefined && !ops.includes(vector.op)) continue;
    const deviation = notFollowed.find((one) => one.vectors === name && one.case === vector.name);
    const expected = vector.error ? REFUSED : vector.out;
    if (deviation === undefined) {
      test(`${name}: ${vector.op}: ${vector.name}`, async () => {
        expect(await run(vector)).toEqual(expected);
      });
    } else {
      test(`${name}: ${vector.op}: ${vector.name}: not followed: ${deviation.reason}`, async () => {
        expect(await run(vector)).not.toEqual(expected);
      });
    }
  }
}
