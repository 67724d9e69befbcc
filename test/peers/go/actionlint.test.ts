import { execFileSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { workflows } from "../../support/workflows.ts";
import { goPeerPath, missingGoPeer } from "./peers.ts";

const missing = missingGoPeer("actionlint");

describe.skipIf(missing !== undefined)(
  `actionlint${missing === undefined ? "" : ` (${missing})`}`,
  () => {
    const lint = (input: string): string =>
      execFileSync(goPeerPath("actionlint"), ["-oneline", "-"], {
        input,
        encoding: "utf8",
        stdio: "pipe",
      });

    test.each(workflows())(
      "finds nothing in a workflow of docs/publishing.md: $section",
      ({ source }) => {
        expect(lint(source)).toBe("");
      },
    );

    test("refuses an unknown permission", () => {
      const source = workflows()[0]?.source ?? "";
      expect(() => lint(source.replace("attestations:", "attestation:"))).toThrow();
    });
  },
);
