import { expect, it } from "vitest";
import { codeBlocks, documents } from "../../support/documents.ts";
import { deployed, serveApp } from "../server/served_app.ts";
import { NODE, newOperator } from "./operator.ts";

const FILE = "docs/operations.md";

interface Step {
  /** The versions that the text before the command says to publish. */
  published: readonly string[];
  command: string;
  printed: string;
}

/** The commands of the guide: each is a block of shell, followed by a block with what it prints. */
function stepsOfGuide(): readonly Step[] {
  const page = documents().find(({ file }) => file === FILE)?.text ?? "";
  const guide = /^## At three in the morning\n(.*?)^## /ms.exec(page)?.[1] ?? "";
  const lines = guide.split("\n");
  const blocks = codeBlocks(guide);
  return blocks.flatMap(({ language, code, line }, index) => {
    if (language !== "sh") return [];
    const before = blocks[index - 1]?.line ?? 1;
    const text = lines.slice(before, line - 1).join("\n");
    const published = [...text.matchAll(/Publish `(.+?)`/g)].map(([, tag = ""]) => tag);
    const next = blocks[index + 1];
    return [
      { published, command: code.trim(), printed: next?.language === "text" ? next.code : "" },
    ];
  });
}

/** Removes what differs from run to run. */
function stable(text: string): string {
  return text
    .replaceAll(/\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?/g, "TIME")
    .replaceAll(/\d+ (s|min|h|days) ago|just now/g, "AGO")
    .replaceAll(/\bin \d+ (s|min|h)\b/g, "SOON")
    .replaceAll(/\b(\d+h)?(\d+m)?\d+(\.\d+)?m?s\b/g, "N")
    .replaceAll(/(; )?\b(stage|before|activate|verify|bake|commit|after) N(, \w+ N)*/g, "")
    .replaceAll(/\bpid \d+/g, "pid N")
    .replaceAll(/\b\d+: (v\d)/g, "N: $1")
    .replaceAll(/^ +dewy +\S+,/gm, "dewy VERSION,")
    .replaceAll(/dewy \d\S* server/g, "dewy VERSION server")
    .replaceAll(/ +/g, " ")
    .replaceAll(/ $/gm, "");
}

/** Splits a command into words as a shell does. */
function words(command: string): string[] {
  return [...command.matchAll(/"([^"]*)"|(\S+)/g)].map(
    ([, quoted, plain]) => quoted ?? plain ?? "",
  );
}

it(`each step of the guide in ${FILE} prints what it says`, { timeout: 120_000 }, async () => {
  const operator = await newOperator();
  const app = await serveApp(NODE, "node");
  await app.publish("v1.1.0");
  const dewy = app.start(["--name", "app", "-i", "1h"], operator.env);
  await deployed(dewy, "v1.1.0");
  await app.publishBad("answers-errors", "v1.2.0");
  await operator.succeed("poll");
  await deployed(dewy, "v1.2.0");
  const steps = stepsOfGuide();
  expect(steps.length).toBeGreaterThan(8);
  for (const { published, command, printed } of steps) {
    for (const tag of published) await app.publish(tag);
    const [program, ...args] = words(command);
    expect(program).toBe("dewy");
    const output = (await operator.succeed(...args))
      .replaceAll(app.cwd, "/opt/app")
      .replaceAll(app.publisher.url, "ghr://acme/app");
    if (process.env.SHOW === "1") console.log(`$ ${command}\n${output}`);
    else expect(stable(output), command).toBe(stable(printed));
  }
});
