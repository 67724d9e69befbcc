import type { Cases, Outcome, Peers } from "./case.ts";
import { cache } from "./cases/cache.ts";
import { gcs } from "./cases/gcs.ts";
import { github } from "./cases/github.ts";
import { grpc } from "./cases/grpc.ts";
import { handler } from "./cases/handler.ts";
import { http } from "./cases/http.ts";
import { library } from "./cases/library.ts";
import { oci } from "./cases/oci.ts";
import { s3 } from "./cases/s3.ts";
import { verify } from "./cases/verify.ts";

const AREAS: Readonly<Record<string, Cases>> = {
  library,
  http,
  github,
  s3,
  gcs,
  oci,
  grpc,
  verify,
  cache,
  handler,
};
const CASE_TIMEOUT_MS = 20_000;

/** Runs all cases on this runtime, one after another. */
export async function runCases(peers: Peers): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const [area, cases] of Object.entries(AREAS)) {
    for (const [name, one] of Object.entries(cases)) {
      const { run, skip } = typeof one === "function" ? { run: one, skip: {} } : one;
      const reason = skip[peers.kind];
      outcomes.push(
        reason === undefined
          ? { area, name, ...(await outcomeOf(() => run(peers))) }
          : { area, name, status: "skipped", note: reason },
      );
    }
  }
  return outcomes;
}

async function outcomeOf(
  run: () => void | Promise<void>,
): Promise<Pick<Outcome, "status" | "note">> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const overdue = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error("the case does not end")), CASE_TIMEOUT_MS);
  });
  try {
    await Promise.race([Promise.resolve().then(run), overdue]);
    return { status: "passed" };
  } catch (error) {
    return { status: "failed", note: error instanceof Error ? error.message : String(error) };
  } finally {
    clearTimeout(timer);
  }
}
