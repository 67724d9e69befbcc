import { createServer } from "node:net";

/** Below those that the system gives to clients: else a connection of another test may take one in between. */
const LOWEST = 10_000;
/** Each worker of vitest has some of its own. */
const SLICE = 4_000;
const SLICES = 5;

const first = LOWEST + (Number(process.env.VITEST_POOL_ID ?? 0) % SLICES) * SLICE;
let next = Math.floor(Math.random() * SLICE);

/** Finds TCP ports that nobody uses right now. */
export async function freePorts(count: number): Promise<number[]> {
  const found: number[] = [];
  while (found.length < count) {
    const port = first + (next++ % SLICE);
    if (await isFree(port)) found.push(port);
  }
  return found;
}

/** Finds one. */
export async function freePort(): Promise<number> {
  const [port = 0] = await freePorts(1);
  return port;
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, () => server.close(() => resolve(true)));
  });
}
