// A worker whose requests name a function of a module, and the CPU time of its process. Needs Linux.
import { readdirSync, readFileSync } from "node:fs";
import { bundleForEdge, startWorker, type Worker } from "../../test/runtime/workerd.ts";

export type Call = readonly [name: string, ...args: unknown[]];

/** Bundles functions of a module, all of them by default, minified as a platform's own tool does. */
export function bundleWorker(module?: string, name?: string): Promise<string> {
  const names = name === undefined ? "* as module" : `{ ${name} as only }`;
  return bundleForEdge(
    `${module === undefined ? "" : `import ${names} from "${module}";`}
    const functions = ${module === undefined ? "{}" : name === undefined ? "module" : `{ ${name}: only }`};
    export default {
      async fetch(request) {
        const [name, ...args] = await request.json();
        try {
          return Response.json(name === undefined ? 0 : await functions[name](...args));
        } catch (error) {
          return new Response(error.stack, { status: 500 });
        }
      },
    };`,
    true,
  );
}

export async function call({ url }: Worker, what: Call | readonly [] = []): Promise<unknown> {
  const response = await fetch(url, { method: "POST", body: JSON.stringify(what) });
  if (!response.ok) throw new Error(await response.text());
  return response.json();
}

export interface EdgeCost {
  /** Of the start and an empty request. */
  startMs: number;
  /** Of the calls, one after another. */
  callsMs: readonly number[];
}

/** Starts a worker, calls its functions, and measures the CPU time of each step. */
export async function costOf(script: string, calls: readonly Call[]): Promise<EdgeCost> {
  const worker = await startWorker(script);
  try {
    await call(worker);
    const startMs = await settledCpuMs(worker);
    const callsMs: number[] = [];
    let before = startMs;
    for (const what of calls) {
      await call(worker, what);
      const after = await settledCpuMs(worker);
      callsMs.push(after - before);
      before = after;
    }
    return { startMs, callsMs };
  } finally {
    await worker.close();
  }
}

/** The CPU time of all threads so far, once the process is idle. */
async function settledCpuMs({ pid }: Worker): Promise<number> {
  for (let last = Number.NaN; ; ) {
    const now = readdirSync(`/proc/${pid}/task`)
      .map((thread) => readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8"))
      .reduce((sum, text) => sum + Number(text.split(" ")[0]) / 1e6, 0);
    if (now - last < 0.05) return now;
    last = now;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}
