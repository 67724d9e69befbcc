import { versions } from "node:process";
import { launchBrowser, NO_BROWSER } from "../e2e/browser.ts";
import { serveFetch } from "../fakes/serve.ts";
import { type Runtime, runCase, runtimes } from "../runtime/runtimes.ts";
import { bundleForEdge, startWorker } from "../runtime/workerd.ts";
import type { Outcome, Peers, RuntimeKind } from "./case.ts";
import { WORKER_STORES } from "./worker_stores.ts";

/** Runs the whole suite in one process of a runtime. */
export interface Runner {
  name: string;
  kind: RuntimeKind;
  /** Why it cannot run here. */
  missing?: string | undefined;
  run(peers: Peers): Promise<Outcome[]>;
}

const MAIN = "test/conformance/main.ts";

async function inProcess(runtime: Runtime, peers: Peers): Promise<Outcome[]> {
  const { code, stdout, stderr } = await runCase(runtime, MAIN, { PEERS: JSON.stringify(peers) });
  if (code !== 0 || stderr !== "") throw new Error(`exited with ${code}: ${stderr}`);
  return JSON.parse(stdout);
}

const [node, deno, bun] = runtimes;

/** This Node, and those whose programs DEWY_NODE_20, DEWY_NODE_22, DEWY_NODE_24 name. */
function nodeRunner(major: string): Runner {
  const variable = `DEWY_NODE_${major}`;
  const isThis = versions.node.startsWith(`${major}.`);
  const program = isThis ? process.execPath : (process.env[variable] ?? "");
  return {
    name: `Node ${major}`,
    kind: "node",
    missing: program === "" ? `the variable ${variable} does not name its program` : undefined,
    run: (peers) =>
      inProcess(
        {
          name: "Node",
          command: async (file) => [program, (await node?.command(file))?.[1] ?? ""],
        },
        peers,
      ),
  };
}

function withDenoKv(runtime: Runtime): Runtime {
  if (runtime.name !== "Deno") return runtime;
  const command: Runtime["command"] = async (file) => {
    const [program, ...args] = await runtime.command(file);
    return [program, ...args.flatMap((arg) => (arg === "run" ? [arg, "--unstable-kv"] : [arg]))];
  };
  return { ...runtime, command };
}

async function inWorker(peers: Peers): Promise<Outcome[]> {
  const worker = await startWorker(
    await bundleForEdge(`
      import { runCases } from "./test/conformance/run.ts";
      export default {
        async fetch(request, { VERSIONS: kv }) {
          return Response.json(await runCases({ ...(await request.json()), kv }));
        },
      };`),
    { stores: await bundleForEdge(WORKER_STORES) },
  );
  try {
    const response = await fetch(worker.url, { method: "POST", body: JSON.stringify(peers) });
    return (await response.json()) as Outcome[];
  } finally {
    await worker.close();
  }
}

/** The page has another origin than every peer. */
async function inBrowser(peers: Peers): Promise<Outcome[]> {
  const suite = await bundleForEdge(`export * from "./test/conformance/run.ts";`);
  const site = await serveFetch(({ url }) =>
    url.endsWith(".js")
      ? new Response(suite, { headers: { "content-type": "text/javascript" } })
      : new Response("<!doctype html>", { headers: { "content-type": "text/html" } }),
  );
  const browser = await launchBrowser();
  try {
    const page = await browser.newPage();
    await page.goto(site.url);
    return await page.evaluate(
      `import("/suite.js").then(({ runCases }) => runCases(${JSON.stringify(peers)}))`,
    );
  } finally {
    await browser.close();
    await site.close();
  }
}

export const runners: readonly Runner[] = [
  ...["20", "22", "24"].map(nodeRunner),
  ...[deno, bun].flatMap((runtime) =>
    runtime === undefined
      ? []
      : [
          {
            name: runtime.name,
            kind: runtime.name === "Deno" ? ("deno" as const) : ("bun" as const),
            run: (peers: Peers) => inProcess(withDenoKv(runtime), peers),
          },
        ],
  ),
  { name: "workerd", kind: "workerd", run: inWorker },
  { name: "Chromium", kind: "chromium", missing: NO_BROWSER, run: inBrowser },
];
