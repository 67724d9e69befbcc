import { readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ROOT } from "../../runtime/runtimes.ts";
import { tempDirectory } from "../../support/temp_directory.ts";
import type { Operator } from "./operator.ts";

const PRELOAD = join(ROOT, "test", "e2e", "steer", "killed_preload.mjs");
/** Steps that a later dewy can see: a file appears, moves, or goes. A download is tested elsewhere. */
const VISIBLE = /^(?!.*\/cache\/)(rename|symlink|append|writeFile|open .*journal)/i;
const NEVER = 1_000_000;

export interface ArmedRun {
  code: number | string;
  text: string;
  wasKilled: boolean;
  /** What was changed on the disk, or about to be. */
  steps: readonly string[];
}

/** Kills dewy, on Node, just before a certain change of the disk. */
export interface Arm {
  /** The environment of a dewy that can be killed. */
  env: Readonly<Record<string, string>>;
  /** Runs a command, with dewy killed before the step with this number, and before none without one. */
  run(
    operator: Operator,
    words: string,
    step?: number,
    options?: { withParent?: boolean },
  ): Promise<ArmedRun>;
}

export async function newArm(): Promise<Arm> {
  const file = join(await tempDirectory(), "arm");
  return {
    env: { NODE_OPTIONS: `--import=${PRELOAD}`, KILL_ARM: file },
    run: async (operator, words, step = NEVER, { withParent = false } = {}) => {
      await writeFile(`${file}.new`, `${step}${withParent ? " and its parent" : ""}`);
      await rename(`${file}.new`, file);
      const { code, text } = await operator.run(...words.split(" "));
      const wasKilled = await rm(file).then(
        () => false,
        () => true,
      );
      const steps = (await readFile(`${file}.steps`, "utf8")).trim().split("\n");
      await rm(`${file}.steps`);
      return { code, text, wasKilled, steps };
    },
  };
}

/** The steps at which to kill: all of them in a soak, else each `every`th of those that a later dewy can see. */
export function stepsToKillAt(
  steps: readonly string[],
  every = 1,
): readonly { at: number; step: string }[] {
  const all = steps.map((step, index) => ({ at: index + 1, step }));
  if (process.env.DEWY_SOAK === "1") return all;
  return all.filter(({ step }) => VISIBLE.test(step)).filter((_, index) => index % every === 0);
}
