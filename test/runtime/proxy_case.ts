// Runs a proxy on this runtime; lines of JSON on standard input are its commands.
// Started by test/host/proxy/.
import { env, exit, memoryUsage, stdin, stdout } from "node:process";
import { systemClock } from "../../src/core/clock.ts";
import type { Backend } from "../../src/host/proxy/backend.ts";
import { startTcpProxy, type TcpProxy } from "../../src/host/proxy/tcp_proxy.ts";

const messages: string[] = [];

const calls = {
  setBackends: async (proxy: TcpProxy, backends: Backend[]) => proxy.setBackends(backends),
  connections: async (proxy: TcpProxy, backend: Backend) => proxy.connections(backend),
  drain: (proxy: TcpProxy, [backend, timeoutMs]: [Backend, number]) =>
    proxy.drain(backend, timeoutMs),
  close: (proxy: TcpProxy, options: { drainMs?: number }) => proxy.close(options),
  stats: async (proxy: TcpProxy) => proxy.stats(),
  messages: async () => messages,
  memory: async () => memoryUsage().rss,
};

interface Line {
  id: number;
  call: keyof typeof calls;
  argument: never;
}

function say(line: unknown): void {
  stdout.write(`${JSON.stringify(line)}\n`);
}

async function main(): Promise<void> {
  const proxy = await startTcpProxy({
    ...JSON.parse(env.PROXY_OPTIONS ?? "{}"),
    clock: systemClock,
    emit: (event) => messages.push(event.type === "warning" ? event.message : event.type),
  });
  say({ address: proxy.address });
  let text = "";
  stdin.setEncoding("utf8");
  stdin.on("data", (chunk) => {
    const lines = `${text}${chunk}`.split("\n");
    text = lines.pop() ?? "";
    for (const line of lines) void obey(proxy, JSON.parse(line));
  });
  stdin.on("end", () => exit(0));
}

async function obey(proxy: TcpProxy, { id, call, argument }: Line): Promise<void> {
  try {
    say({ id, result: (await calls[call](proxy, argument)) ?? null });
  } catch (error) {
    say({ id, error: String(error) });
  }
}

await main().catch((error) => say({ error: String(error) }));
