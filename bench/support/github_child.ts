// A GitHub fake in its own process. Prints its address; then, for each line on standard input, the
// requests since the last one.
import { createInterface } from "node:readline";
import { systemClock } from "../../src/core/clock.ts";
import { serveGitHub } from "../../test/fakes/github.ts";

const RELEASES = 30;
const PLATFORMS = ["linux_amd64", "linux_arm64", "darwin_amd64", "darwin_arm64"];

const { github, url } = await serveGitHub({
  clock: systemClock,
  limits: { token: 1_000_000_000, anonymous: 60 },
});
for (let minor = 0; minor < RELEASES; minor += 1) {
  github.publish(
    `v1.${minor}.0`,
    PLATFORMS.map((platform) => ({ name: `app_${platform}.tar.gz`, bytes: new Uint8Array(1) })),
  );
}
console.log(url);
for await (const _ of createInterface({ input: process.stdin })) {
  const calls = github.calls.splice(0);
  console.log(
    JSON.stringify({ calls: calls.length, counted: calls.filter(({ counted }) => counted).length }),
  );
}
