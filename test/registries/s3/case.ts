// Asks a real bucket on whichever runtime this is, and prints what came.
import process from "node:process";
import { openRegistry } from "../../../src/registries/open.ts";

const { REGISTRY = "", ARTIFACT = "" } = process.env;
const registry = openRegistry(REGISTRY, { env: process.env, artifact: ARTIFACT });
const answer = await registry.resolve();
if (answer.kind !== "ready") throw new Error(JSON.stringify(answer));
const { release, artifact } = answer;
const read = async (offset: number): Promise<number[]> => [
  ...new Uint8Array(await new Response(await registry.open(artifact, { offset })).arrayBuffer()),
];
const [bytes, rest] = [await read(0), await read(2)];
const { id, tag } = release;
await registry.report?.({ id, tag, command: "assets", host: "host", at: new Date(0) });
console.log(JSON.stringify({ name: artifact.name, digest: artifact.digest, bytes, rest }));
