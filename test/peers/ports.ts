import { createServer, type Server } from "node:net";
import process from "node:process";

/**
 * Below the ports that the system gives to clients, or a connection of another test may take one in
 * between.
 */
const LOWEST = 10_000;
/** Each worker of vitest has its own slice. */
const SLICE = 4_000;
const SLICES = 5;

const first = LOWEST + (Number(process.env.VITEST_POOL_ID ?? 0) % SLICES) * SLICE;
let next = Math.floor(Math.random() * SLICE);

/** Finds TCP ports that are free right now. */
export async function freePorts(count: number): Promise<number[]> {
  const found: number[] = [];
  while (found.length < count) {
    const port = first + (next++ % SLICE);
    if (await isFree(port)) found.push(port);
  }
  return found;
}

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

/** Between the slices and the ports that the system hands out, which start at 32768. */
const FIRST_OF_A_ROW = LOWEST + SLICES * SLICE;
const LAST_OF_A_ROW = 32_700;

/** Holds consecutive TCP ports on loopback, with a server for each in the order of the ports. */
export async function portsInARow(count: number): Promise<{ first: number; servers: Server[] }> {
  const start = FIRST_OF_A_ROW + (process.pid % 100) * 20;
  for (let first = start; first + count < LAST_OF_A_ROW; first += count) {
    const ports = Array.from({ length: count }, (_, index) => first + index);
    const servers = await Promise.all(ports.map(holdPort));
    const held = servers.filter((server) => server !== undefined);
    if (held.length === count) return { first, servers: held };
    await Promise.all(held.map(closeServer));
  }
  throw new Error(`no ${count} free ports in a row`);
}

export function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}

function holdPort(port: number): Promise<Server | undefined> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once("error", () => resolve(undefined));
    server.listen(port, "127.0.0.1", () => resolve(server));
  });
}
