// The tests that `npm run mutate` chose.
import { env } from "node:process";

export default {
  test: {
    include: JSON.parse(env.DEWY_MUTATE_TESTS ?? "[]"),
    testTimeout: 60_000,
    hookTimeout: 90_000,
  },
};
