import { readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { systemClock } from "../../src/core/clock.ts";
import type { Proof } from "../../src/core/proof.ts";
import { HOST_VERIFIERS } from "../../src/verify/host_table.ts";
import type { VerifyContext } from "../../src/verify/types.ts";
import { subjectOf, verifyContext } from "./subject.ts";
import type { Release, Workflow } from "./workflows.ts";

/** Verifies as the example below the workflow does, with the keys that were made for the test. */
export async function verifyPublished(
  { rule }: Workflow,
  release: Release,
  keys: string,
  context: Partial<VerifyContext> = {},
): Promise<Proof> {
  const [, kind = "", example = ""] = /^([^=]*)=?(.*)$/.exec(rule) ?? [];
  const driver = HOST_VERIFIERS.find((one) => one.kind === kind);
  if (driver === undefined) throw new Error(`no verifier for ${rule}`);
  const value = kind === "minisign" ? await minisignKey(keys) : example;
  const verifier = driver.open(
    value,
    verifyContext({
      clock: systemClock,
      readTextFile: (path) => readFile(join(keys, basename(path)), "utf8"),
      ...context,
    }),
  );
  return verifier.verify(subjectOf(release), new AbortController().signal);
}

async function minisignKey(keys: string): Promise<string> {
  const [, key = ""] = (await readFile(join(keys, "minisign.pub"), "utf8")).split("\n");
  return key;
}
