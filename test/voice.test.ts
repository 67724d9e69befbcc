import { describe, expect, test } from "vitest";

interface Voice {
  /** Findings as `file:line: "phrase": what to write`. */
  check(paths: readonly string[]): string[];
  findPhrases(path: string, text: string): { line: number; phrase: string; instead: string }[];
  projectPaths(): string[];
}

const TOOL = "../.ci/voice.mjs";
const { check, findPhrases, projectPaths }: Voice = await import(TOOL);

const phrasesIn = (path: string, text: string): string[] =>
  findPhrases(path, text).map(({ phrase }) => phrase);

describe("the lint for prose", () => {
  test.each([
    ["A number of attempts; 3 unless told.", "unless told"],
    ["Turns failures into errors of ours.", "of ours"],
    ["Hears of every request.", "Hears"],
    ["Is told when a replica stops.", "told"],
    ["Tells whether the port is open.", "Tells whether"],
    ["What it needs from the world.", "the world"],
    ["Does not wait for ever.", "for ever"],
    ["The key is read anew.", "anew"],
    ["A registry of one's own.", "one's own"],
    ["Whoever asks gets an answer.", "Whoever"],
    ["The answer is no JSON.", "is no JSON"],
    ["Tags that are no version.", "are no version"],
    ["`latest` is no `Version`.", "is no `Version`"],
    ["A digest that is none.", "is none"],
    ["Machines ask by gRPC.", "by gRPC"],
    ["A retry does not mend it.", "mend"],
    ["Weakens the walls around it.", "walls around"],
    ["This makes no version bad.", "makes no version"],
    ["Say of every tag why.", "Say of"],
  ])("refuses %j", (text, phrase) => {
    expect(phrasesIn("page.md", text)).toEqual([phrase]);
  });

  test.each([
    "It is no longer running, and uses no more than 3 MB.",
    "There is no release. Where there would be no release, there is none.",
    "It is of no use to nobody once more.",
    "The limit is imposed by HTTP. Sent over TLS by the client.",
    "An error code tells the two cases apart; they can be told apart.",
    "The default is none. A world-wide unique name.",
    "What became of the deploy is recorded.",
    "if answer is None: continue",
  ])("accepts %j", (text) => {
    expect(phrasesIn("page.md", text)).toEqual([]);
  });

  test("reads comments and strings, and not names or code", () => {
    const source = [
      "const told = anew / world; // read anew",
      "/**",
      " * Is called for ev",
      " * er, not for",
      " * ever.",
      " */",
      'const url = "http://mend"; const pattern = /"the world/;',
      "const text = `it is no #{part(`by #{'HTTP'} anew`)} name`;".replaceAll("#", "$"),
      '  throw new Error("the answer is " +',
      '    "no JSON");',
    ].join("\n");
    expect(findPhrases("a.ts", source).map(({ line, phrase }) => [line, phrase])).toEqual([
      [1, "anew"],
      [4, "for ever"],
      [7, "mend"],
      [8, "is no …"],
      [8, "anew"],
      [9, "is no JSON"],
    ]);
  });

  test("reads a paragraph as one text, and each row of a table separately", () => {
    const page = "The answer is\nno JSON.\n\nThe answer is\n\nno list.\n\n| is |\n| no list |\n";
    expect(findPhrases("page.md", page).map(({ line }) => line)).toEqual([1]);
  });

  test("finds nothing in the project", () => {
    expect(check(projectPaths())).toEqual([]);
  });
});
