import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { toBinary } from "@bufbuild/protobuf";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  CurrentRequestSchema,
  RegistryService,
  ReportRequestSchema,
} from "../../../src/gen/dewy_pb.ts";
import { ROOT, run } from "../../runtime/runtimes.ts";

let output: string;

beforeAll(async () => {
  output = await mkdtemp(join(tmpdir(), "dewy-gen-"));
});
afterAll(() => rm(output, { recursive: true }));

test("src/gen is what proto/ generates today", async () => {
  const buf = join(ROOT, "node_modules", ".bin", "buf");
  const env = { PATH: `${join(ROOT, "node_modules", ".bin")}:${process.env.PATH}` };
  const { code, stderr } = await run(buf, ["generate", "--output", output], { env });
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  const names = await readdir(join(ROOT, "src/gen"));
  expect(await readdir(join(output, "src/gen"))).toEqual(names);
  for (const name of names) {
    const fresh = await readFile(join(output, "src/gen", name), "utf8");
    const committed = await readFile(join(ROOT, "src/gen", name), "utf8");
    expect(committed === fresh, `${name} is stale: run "npm run generate"`).toBe(true);
  }
});

test("the contract keeps the names and numbers of existing servers", () => {
  expect(RegistryService.typeName).toBe("dewy.RegistryService");
  const methods = RegistryService.methods.map(({ name, methodKind, input, output: answer }) => ({
    name,
    methodKind,
    input: fieldsOf(input),
    output: fieldsOf(answer),
  }));
  expect(methods).toEqual([
    {
      name: "Current",
      methodKind: "unary",
      input: ["string arch = 1", "string os = 2", "optional string arifact_name = 3"],
      output: [
        "string id = 1",
        "string tag = 2",
        "string artifact_url = 3",
        "optional google.protobuf.Timestamp created_at = 4",
        "string file_urls = 5",
      ],
    },
    {
      name: "Report",
      methodKind: "unary",
      input: ["string id = 1", "string tag = 2", "string command = 3", "optional string err = 4"],
      output: [],
    },
    {
      name: "Watch",
      methodKind: "server_streaming",
      input: ["string arch = 1", "string os = 2"],
      output: ["string id = 1", "string tag = 2"],
    },
  ]);
});

test("messages are these bytes", () => {
  const request = { $typeName: "dewy.CurrentRequest", arch: "amd64", os: "linux" } as const;
  expect(hex(toBinary(CurrentRequestSchema, request))).toBe("0a05616d6436341205" + "6c696e7578");
  const report = {
    $typeName: "dewy.ReportRequest",
    id: "1234567890",
    tag: "v1.0.0",
    command: "server",
    err: "something error",
  } as const;
  expect(hex(toBinary(ReportRequestSchema, report))).toBe(
    "0a0a31323334353637383930" +
      "120676312e302e30" +
      "1a06736572766572" +
      "220f736f6d657468696e67206572726f72",
  );
});

function fieldsOf(message: (typeof RegistryService.methods)[number]["input"]): string[] {
  return message.fields.map((field) => {
    const optional = field.proto.proto3Optional ? "optional " : "";
    const type = field.fieldKind === "message" ? field.message.typeName : "string";
    if (field.fieldKind === "scalar") expect(field.scalar).toBe(9); // STRING
    return `${optional}${type} ${field.name} = ${field.number}`;
  });
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
