// The cost of an idle poll of GitHub: 300 releases with 20 assets each, polled every 10 s for an
// hour, while a client downloads between any two polls. Kilobytes are of uncompressed JSON. Run it
// with `npm run bench -- poll`.
import { openRegistry } from "../mod.ts";
import { fakeClock } from "../test/fakes/clock.ts";
import { type FakeCall, FakeGitHub } from "../test/fakes/github.ts";

const RELEASES = 300;
const INTERVAL_MS = 10_000;
const POLLS = 360;
const PLATFORMS = ["linux_amd64", "linux_arm64", "linux_armv7", "darwin_amd64", "darwin_arm64"];
const NAMES = PLATFORMS.flatMap((platform) =>
  [".tar.gz", ".tar.gz.sha256", ".sbom.json", ".tar.gz.sig"].map((end) => `app_${platform}${end}`),
);

interface Row {
  way: string;
  calls: readonly FakeCall[];
  polls: number;
}

async function main(): Promise<void> {
  const rows = [
    await dewy("dewy, with a token", { GH_TOKEN: "ghp_reader" }),
    await dewy("dewy, anonymous", {}),
    await listing("every page, every poll", false),
    await listing("every page, conditional", true),
  ].flat();
  console.log(
    `${RELEASES} releases x ${NAMES.length} assets, a poll every ${INTERVAL_MS / 1000} s, downloads in between`,
  );
  console.log(["way", "polls", "requests/poll", "kB/poll", "limit/poll", "limit/hour"].join(" | "));
  for (const { way, calls, polls } of rows) {
    const counted = calls.filter((call) => call.counted).length;
    const kilobytes = calls.reduce((sum, call) => sum + call.bytes, 0) / 1000;
    const cells = [calls.length / polls, kilobytes / polls, counted / polls];
    if (polls > 1) cells.push((counted / polls) * POLLS);
    console.log([way, polls, ...cells.map((cell) => Number(cell.toFixed(2)))].join(" | "));
  }
}

function setUp(): { clock: ReturnType<typeof fakeClock>; github: FakeGitHub } {
  const clock = fakeClock({ skipUpTo: 29_999 });
  // No limit: the question is how much of it each way would take.
  const limits = { token: 1_000_000, anonymous: 60 };
  const github = new FakeGitHub({ clock, limits });
  const bytes = new Uint8Array(1);
  for (let minor = 0; minor < RELEASES; minor += 1) {
    github.publish(
      `v1.${minor}.0`,
      NAMES.map((name) => ({ name, bytes })),
    );
  }
  return { clock, github };
}

/** An hour in one row, and the polls between two listings of all releases in another. */
async function dewy(way: string, env: Record<string, string>): Promise<Row[]> {
  const { clock, github } = setUp();
  const registry = openRegistry("ghr://acme/app", {
    platform: { os: "linux", arch: "amd64" },
    env: { ...env, GITHUB_API_URL: github.urls.api },
    fetch: github.fetch,
    clock,
  });
  await registry.resolve();
  const first: Row = { way: `${way}: the first poll`, calls: github.calls.splice(0), polls: 1 };
  const idle: FakeCall[] = [];
  let idlePolls = 0;
  for (let poll = 0; poll < POLLS; poll += 1) {
    clock.advance(INTERVAL_MS);
    github.countDownloads();
    const before = github.calls.length;
    const answer = await registry.resolve();
    if (answer.kind !== "ready")
      throw new Error(`the benchmark expected a release, not ${answer.kind}`);
    const calls = github.calls.slice(before);
    if (calls.some(({ call }) => call.includes("/releases"))) continue;
    idle.push(...calls);
    idlePolls += 1;
  }
  github.verify();
  return [
    first,
    { way: `${way}: an idle poll`, calls: idle, polls: idlePolls },
    { way: `${way}: an hour, full listings included`, calls: github.calls, polls: POLLS },
  ];
}

/** The common way: lists the releases, page after page, at every poll. */
async function listing(way: string, conditional: boolean): Promise<Row[]> {
  const { clock, github } = setUp();
  const etags = new Map<string, string>();
  const polls = 10;
  for (let poll = 0; poll <= polls; poll += 1) {
    clock.advance(INTERVAL_MS);
    github.countDownloads();
    if (poll === 1) github.calls.length = 0; // the first one has no ETags
    for (let page = 1; page <= RELEASES / 100; page += 1) {
      const url = `${github.urls.api}/repos/acme/app/releases?per_page=100&page=${page}`;
      const etag = conditional ? etags.get(url) : undefined;
      const response = await github.fetch(url, {
        headers: {
          "user-agent": "benchmark",
          authorization: "Bearer ghp_reader",
          ...(etag === undefined ? {} : { "if-none-match": etag }),
        },
      });
      etags.set(url, response.headers.get("etag") ?? "");
      await response.arrayBuffer();
    }
  }
  return [{ way, calls: github.calls, polls }];
}

await main();
