// The tests that `npm run mutate` chose.
import { env } from "node:process";

const include = JSON.parse(env.DEWY_MUTATE_TESTS ?? "[]");
// Reads a thousand releases: minutes for each mutant. Only with --tests.
const SLOW = "test/platform/release_files.test.ts";

export default {
  test: {
    include,
    exclude: include.includes(SLOW) ? [] : [SLOW],
    testTimeout: 60_000,
    hookTimeout: 90_000,
  },
};
