import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

/** A case: the input, and either the output or that it is refused. */
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

/** Vectors that dewy deliberately does not follow, with the reasons. */
export const notFollowed: readonly NotFollowed[] = readJson<NotFollowed[]>("not_followed");

/** Returns the cases of a file in test/vectors. */
export function readVectors(name: string): readonly VectorCase[] {
  return readJson<VectorCase[]>(name);
}

/**
 * Declares one test per case. `run` returns dewy's answer, or a promise of it, in the vector's own
 * terms. A case listed in not_followed.json has to differ, so that the list stays true.
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
