import { createServer, type Server } from "node:net";
import process from "node:process";

/** Finds TCP ports on loopback that nobody uses right now. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      await new Promise<void>((resolve, reject) => {
        server.once("error", reject);
        server.listen(0, "127.0.0.1", resolve);
      });
      return server;
    }),
  );
  const ports = servers.map((server) => {
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("no port");
    return address.port;
  });
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

/** The system hands out ports from 32768 on: below, nobody's server stands by chance. */
const FIRST_OF_A_ROW = 20_000;
const LAST_OF_A_ROW = 32_000;

/**
 * Holds TCP ports in a row on loopback.
 *
 * @returns the servers that hold them, in the order of their ports.
 */
export async function portsInARow(count: number): Promise<{ first: number; servers: Server[] }> {
  const start = FIRST_OF_A_ROW + (process.pid % 500) * 20;
  for (let first = start; first < LAST_OF_A_ROW; first += count) {
    const ports = Array.from({ length: count }, (_, index) => first + index);
    const servers = await Promise.all(ports.map(holdPort));
    const held = servers.filter((server) => server !== undefined);
    if (held.length === count) return { first, servers: held };
    await Promise.all(held.map(closeServer));
  }
  throw new Error(`no ${count} free ports in a row`);
}

/** Ends a server. */
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
