// Fetches each URL in turn with one host fetch, and prints the results.
// Run by test/host/net/fetch.test.ts.
import { env, exit, stdout } from "node:process";
import { createHostFetch } from "../../src/host/net/fetch.ts";

const { urls, caFile } = JSON.parse(env.CASE ?? "{}") as { urls: string[]; caFile?: string };
const warnings: string[] = [];

async function ask(fetch: typeof globalThis.fetch, url: string): Promise<string> {
  try {
    const response = await fetch(url, { headers: { accept: "text/plain" }, redirect: "manual" });
    return `${response.status} ${await response.text()}`;
  } catch {
    return "refused";
  }
}

async function main(): Promise<object> {
  try {
    const emit = (event: { type: string; message?: string }): void => {
      if (event.type === "warning") warnings.push(event.message ?? "");
    };
    const fetch = await createHostFetch({ env, caFile, emit });
    const answers: string[] = [];
    for (const url of urls) answers.push(await ask(fetch, url));
    const posted = await fetch(new Request(urls[0] ?? "", { method: "POST", body: "echo" })).then(
      (response) => response.text(),
      () => "refused",
    );
    return { answers, posted, warnings, native: fetch === globalThis.fetch };
  } catch (error) {
    return { error: error instanceof Error ? `${error.name}: ${error.message}` : String(error) };
  }
}

stdout.write(`${JSON.stringify(await main())}\n`, () => exit(0));
