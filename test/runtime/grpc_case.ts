// Queries a gRPC server on the current runtime, and then has to exit by itself: idle connections
// must not keep it alive.
import process from "node:process";
import { createHostIo } from "../../src/host/io.ts";
import { hostRegistries } from "../../src/host/registries.ts";
import { openRegistry } from "../../src/registries/open.ts";

const { REGISTRY = "", SILENT = "" } = process.env;
const io = await createHostIo({ env: process.env, platform: { os: "linux", arch: "amd64" } });
const open = (url: string): ReturnType<typeof openRegistry> =>
  openRegistry(url, { ...io, registries: hostRegistries });

const registry = open(REGISTRY);
const answers = [await registry.resolve(), await registry.resolve()];
const [answer] = answers;
if (answer?.kind !== "ready") throw new Error(JSON.stringify(answer));
const { id, tag } = answer.release;
const deployment = { id, tag, command: "assets", host: "host", at: new Date(0) };
await registry.report?.({ ...deployment, error: "it crashed" });

// A server that accepts and never answers: the caller's signal ends the call.
const code = await open(SILENT)
  .resolve({ signal: AbortSignal.timeout(300) })
  .then(
    () => "answered",
    (error) => error.code,
  );
console.log(JSON.stringify({ tag, url: answer.artifact.url, silent: code }));
