import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { expect, test } from "vitest";
import { CurrentResponseSchema, ReportRequestSchema } from "../../../src/gen/dewy_pb.ts";
import { decodeAnswer, encodeTexts } from "../../../src/registries/grpc/wire.ts";

const text = fc.oneof(
  fc.string({ unit: "grapheme", maxLength: 20 }),
  fc.nat(40_000).map((length) => "x".repeat(length)),
);
const timestamp = fc.record({
  seconds: fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n),
  nanos: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
});

test("what is encoded is what the package of protobuf decodes", () => {
  fc.assert(
    fc.property(text, text, text, fc.option(text, { nil: undefined }), (id, tag, command, err) => {
      const bytes = encodeTexts({ 1: id, 2: tag, 3: command, 4: err });
      const { id: _, ...decoded } = fromBinary(ReportRequestSchema, bytes);
      expect({ id: _, ...decoded }).toMatchObject({ id, tag, command, ...(err && { err }) });
    }),
    { numRuns: 300 },
  );
});

test("what the package of protobuf encodes is decoded", () => {
  const answer = fc.record(
    { id: text, tag: text, artifactUrl: text, fileUrls: fc.array(text), createdAt: timestamp },
    { requiredKeys: ["id", "tag", "artifactUrl", "fileUrls"] },
  );
  fc.assert(
    fc.property(answer, ({ createdAt, ...rest }) => {
      const message = create(CurrentResponseSchema, { ...rest, ...(createdAt && { createdAt }) });
      const decoded = decodeAnswer(toBinary(CurrentResponseSchema, message));
      expect(decoded).toEqual({ ...rest, ...(createdAt && { createdAt }) });
    }),
    { numRuns: 300 },
  );
});

test("an answer that is cut off or damaged is an error or an answer of texts", () => {
  const whole = toBinary(
    CurrentResponseSchema,
    create(CurrentResponseSchema, { id: "1", tag: "v1", fileUrls: ["a"], createdAt: { nanos: 7 } }),
  );
  // All but the bytes between two fields.
  for (const length of [1, 2, 4, 5, 6]) {
    expect(() => decodeAnswer(whole.subarray(0, length))).toThrow("it ends early");
  }
  fc.assert(
    fc.property(fc.nat(whole.length), fc.uint8Array({ maxLength: 30 }), (at, other) => {
      try {
        const { id, tag, artifactUrl } = decodeAnswer(
          new Uint8Array([...whole.subarray(0, at), ...other]),
        );
        expect([typeof id, typeof tag, typeof artifactUrl]).toEqual(["string", "string", "string"]);
      } catch (error) {
        expect([RangeError, TypeError]).toContain((error as Error).constructor);
      }
    }),
    { numRuns: 2_000 },
  );
});
