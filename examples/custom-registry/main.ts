/**
 * Serves the canary until a signal stops it. From a clone:
 *
 *     npm ci && npm run build && npx bun examples/custom-registry/main.ts
 *     node dist/cli.js check 'grpc://127.0.0.1:9000?no-tls=true'
 */
import process from "node:process";
import { serveRegistry } from "dewy/host";
import { canaryRegistry } from "./canary.ts";

const {
  PORT = "9000",
  REPOSITORY = "linyows/dewy",
  STABLE = "v1.0.0",
  CANARY = "v1.1.0",
  PERCENT = "10",
} = process.env;

const logic = canaryRegistry({
  stable: STABLE,
  canary: CANARY,
  percent: Number(PERCENT),
  artifactUrl: (tag, { os, arch }) => `ghr://${REPOSITORY}/tag/${tag}/app_${os}_${arch}.tar.gz`,
});
const server = await serveRegistry(logic, { port: Number(PORT) });
console.log(`Listening on ${server.url}: ${CANARY} for ${PERCENT} %, ${STABLE} for the others`);
process.once("SIGTERM", () => void server.close());
process.once("SIGINT", () => void server.close());
