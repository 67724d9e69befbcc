import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { ROOT } from "../../runtime/runtimes.ts";
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

    test("finds nothing in dewy's own release workflow", () => {
      expect(lint(readFileSync(join(ROOT, ".github/workflows/release.yml"), "utf8"))).toBe("");
    });

    test("refuses an unknown permission", () => {
      const source = workflows()[0]?.source ?? "";
      expect(() => lint(source.replace("attestations:", "attestation:"))).toThrow();
    });
  },
);
