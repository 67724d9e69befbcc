// Connects to servers in the wrong way, one after another, and prints the errors.
import process from "node:process";
import { type Clock, systemClock } from "../../src/core/clock.ts";
import { createHostIo } from "../../src/host/io.ts";
import { hostRegistries } from "../../src/host/registries.ts";
import { openRegistry } from "../../src/registries/open.ts";

// Backoff is skipped.
const clock: Clock = {
  ...systemClock,
  sleep: (ms, signal) => systemClock.sleep(ms < 10_000 ? 0 : ms, signal),
};

async function messageOf(base: URL): Promise<string> {
  const isPlain = base.protocol === "http:";
  const url =
    base.pathname === "/grpc"
      ? `grpc://${base.host}${isPlain ? "?no-tls=true" : ""}`
      : "ghr://owner/repo";
  const env = { SSL_CERT_FILE: process.env.SSL_CERT_FILE, GITHUB_API_URL: base.origin };
  const io = await createHostIo({ env, clock });
  try {
    await openRegistry(url, { ...io, registries: hostRegistries }).resolve();
    return "no error";
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

const urls: string[] = JSON.parse(process.env.URLS ?? "[]");
const messages: string[] = [];
for (const url of urls) messages.push(await messageOf(new URL(url)));
console.log(JSON.stringify(messages));
