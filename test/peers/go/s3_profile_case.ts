// Asks a bucket with nothing but the files of this machine, on whichever runtime this is.
import process from "node:process";
import { createHostIo } from "../../../src/host/io.ts";
import { latest } from "../../../src/registries/open.ts";

const io = await createHostIo({
  env: process.env,
  platform: { os: "linux", arch: "amd64" },
});
const answer = await latest(process.env.REGISTRY ?? "", io);
console.log(answer.kind === "ready" ? answer.release.tag : JSON.stringify(answer));
