// The redirect checks with the fetch of workerd. Run by test/runtime/workerd.test.ts.
import { redirectCase } from "./redirect_case.ts";

/** Runs them. workerd refuses a `fetch` that has lost its receiver. */
export function redirectInWorker(here: string, there: string): Promise<string[]> {
  return redirectCase((input, init) => globalThis.fetch(input, init), here, there);
}
