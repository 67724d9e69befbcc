// Finds a bucket's newest version with the AWS configuration files of this machine only, on the
// current runtime.
import process from "node:process";
import { createHostIo } from "../../../src/host/io.ts";
import { latest } from "../../../src/registries/open.ts";

const io = await createHostIo({
  env: process.env,
  platform: { os: "linux", arch: "amd64" },
});
const answer = await latest(process.env.REGISTRY ?? "", io);
console.log(answer.kind === "ready" ? answer.release.tag : JSON.stringify(answer));
