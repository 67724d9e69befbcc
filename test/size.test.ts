import { describe, expect, test } from "vitest";

interface Size {
  files: number;
  lines: number;
  comments: number;
  code: number;
}

interface SizeTool {
  countLines(source: string): Omit<Size, "files">;
  measure(paths: readonly string[]): { total: Size; folders: Map<string, Size> };
  commentShare(size: Size): number;
}

const TOOL = "../.ci/size.mjs";
const { countLines, measure, commentShare }: SizeTool = await import(TOOL);

/**
 * 46,000 before there were more notifiers than Slack: seven more with their outbox, telemetry, and the status page with its
 * server are the rest. It was 52,900 before anything verified signatures: seven kinds, Sigstore's logs and bundles, attacks by
 * old and hidden versions, and `dewy verify` are the rest. It was 60,400 before there was more than one machine: shared
 * caches, staged rollouts with their model and simulation, and gateways that stream are the rest. It was 67,000 before there
 * were a handler for serverless functions and the registry that asks it.
 */
const MAX_LINES = 69_500;
const MAX_COMMENT_PERCENT = 14;
const MAX_FILES_PER_FOLDER = 20;
/** Folders that may hold more files, and why. */
const WIDE_FOLDERS: Readonly<Record<string, string>> = {};

describe("the size report", () => {
  test.each([
    ["// a comment", { lines: 1, code: 0, comments: 1 }],
    ["const a = 1; // a comment", { lines: 1, code: 1, comments: 0 }],
    ["/**\n * Two.\n\n */\nconst a = 1;\n", { lines: 5, code: 1, comments: 3 }],
    ["const a = 1; /* on\n two lines */", { lines: 2, code: 1, comments: 1 }],
    ['const url = "http://a";\nconst b = `\n// text\n`;', { lines: 4, code: 4, comments: 0 }],
    ["const c = `#{d(/* in */)}//`;".replace("#", "$"), { lines: 1, code: 1, comments: 0 }],
    ["const r = /[/*]\\/\\//;\nconst q = a / b; // c / d", { lines: 2, code: 2, comments: 0 }],
    ["\n\n", { lines: 2, code: 0, comments: 0 }],
  ])("counts %j", (source, counts) => {
    expect(countLines(source)).toEqual(counts);
  });
});

describe("the source", () => {
  const { total, folders } = measure(["src"]);

  test(`has at most ${MAX_LINES} lines`, () => {
    expect(total.lines).toBeLessThanOrEqual(MAX_LINES);
  });

  test(`has at most ${MAX_COMMENT_PERCENT} % comment lines`, () => {
    expect(commentShare(total)).toBeLessThanOrEqual(MAX_COMMENT_PERCENT);
  });

  test(`has at most ${MAX_FILES_PER_FOLDER} files in a folder`, () => {
    const wide = [...folders]
      .filter(([name, { files }]) => files > MAX_FILES_PER_FOLDER && !(name in WIDE_FOLDERS))
      .map(([name, { files }]) => `${name}: ${files}`);
    expect(wide).toEqual([]);
  });

  test("contains every folder that may hold more files", () => {
    expect(Object.keys(WIDE_FOLDERS).filter((name) => !folders.has(name))).toEqual([]);
  });
});
