import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { missingRadosgw, type Radosgw, startRadosgw } from "../peers/radosgw.ts";
import { tempDirectory } from "../support/temp_directory.ts";
import { ARTIFACT, makeArtifact } from "./archive.ts";
import { cliRuntimes, expectTidy, liveVersion, runDewy, startDewy, until } from "./dewy.ts";
import { filePublisher, githubPublisher, type Publisher, s3Publisher } from "./publishers.ts";

const noGateway = missingRadosgw();
let gateway: Radosgw | undefined;

beforeAll(async () => {
  if (noGateway === undefined) gateway = await startRadosgw();
});
afterAll(async () => {
  await gateway?.stop();
});

interface Case {
  registry: string;
  skip: string | undefined;
  open(): Promise<Publisher>;
}

const cases: readonly Case[] = [
  { registry: "file", skip: undefined, open: filePublisher },
  { registry: "GitHub (fake)", skip: undefined, open: githubPublisher },
  {
    registry: "S3 (radosgw)",
    skip: noGateway,
    open: async () => {
      if (gateway === undefined) throw new Error("no gateway");
      return s3Publisher(gateway);
    },
  },
];

for (const { registry, skip, open } of cases) {
  describe.skipIf(skip !== undefined)(
    `${registry}${skip === undefined ? "" : ` [${skip}]`}`,
    () => {
      it.each(cliRuntimes)(
        "deploys two versions, and returns to the first when the second is deleted, on $name",
        async ({ command }) => {
          const publisher = await open();
          const cwd = await tempDirectory();
          const { env } = publisher;
          await publisher.publish("v1.0.0", await makeArtifact("v1.0.0"));
          await publisher.publish("v2.0.0-rc.1", await makeArtifact("v2.0.0-rc.1"));
          const args = [
            "--registry",
            publisher.url,
            "--log-level",
            "debug",
            "--log-format",
            "json",
          ];

          const check = await runDewy(command, ["check", publisher.url, "--json"], { cwd, env });
          expect(JSON.parse(check.stdout)).toMatchObject({
            kind: "ready",
            tag: "v1.0.0",
            artifact: ARTIFACT,
          });

          const dewy = startDewy(command, ["assets", "-i", "1s", ...args], { cwd, env });
          const deployed = (tag: string): Promise<unknown> =>
            dewy.seen(
              `the deploy of ${tag}`,
              (line) => line.msg === "Deployed" && line.tag === tag,
            );
          await deployed("v1.0.0");
          expect(await liveVersion(cwd)).toBe("v1.0.0");

          await publisher.publish("v1.1.0", await makeArtifact("v1.1.0"));
          await deployed("v1.1.0");
          expect(await liveVersion(cwd)).toBe("v1.1.0");
          await until(
            async () =>
              (await publisher.audits("v1.1.0")).some((name) => name.includes("shipped_to_")),
            () => `an audit record\n${dewy.stderr()}`,
          );

          await publisher.withdraw("v1.1.0");
          await until(
            async () => (await liveVersion(cwd)) === "v1.0.0",
            () => `v1.0.0 after v1.1.0 was deleted\n${dewy.stderr()}`,
          );

          dewy.child.kill("SIGTERM");
          expect(await dewy.ended()).toBe(0);
          await expectTidy(cwd);
          const levels = dewy
            .lines()
            .filter((line) => line.level === "ERROR" || line.level === "WARN");
          expect(levels).toEqual([]);
        },
      );
    },
  );
}
