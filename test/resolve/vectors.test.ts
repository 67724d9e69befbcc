import { expect, test } from "vitest";
import { notFollowed, readVectors } from "../support/vectors.ts";

test.each(notFollowed)(
  "the vector $vectors: $case, which is not followed, is there and has a reason",
  (one) => {
    expect(readVectors(one.vectors).filter((vector) => vector.name === one.case)).toHaveLength(1);
    expect(one.reason).not.toBe("");
  },
);
