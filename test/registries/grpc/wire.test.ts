import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
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

/** A number in at least `bytes` bytes. */
function varint(value: bigint, bytes = 1): number[] {
  const rest = BigInt.asUintN(64, value);
  return rest < 0x80n && bytes <= 1
    ? [Number(rest)]
    : [Number(rest & 0x7fn) | 0x80, ...varint(rest >> 7n, bytes - 1)];
}

const long = fc.constantFrom(1, 1, 1, 2, 5);
const number = fc.oneof(
  fc.constantFrom(0n, 127n, 128n, 2n ** 31n, 2n ** 32n, 2n ** 63n, 2n ** 64n - 1n),
  fc.bigInt(0n, 2n ** 64n - 1n),
);
const numberBytes = fc
  .tuple(number, fc.constantFrom(1, 1, 1, 3, 10))
  .map(([value, bytes]) => varint(value, bytes));
const unknown = fc.oneof(fc.integer({ min: 6, max: 20 }), fc.constantFrom(2047, 2 ** 29 - 1));

function field(no: fc.Arbitrary<number>, type: number, body: fc.Arbitrary<number[]>) {
  return fc.tuple(no, long, body).map(([at, bytes, value]) => {
    const tag = varint(BigInt(at) * 8n + BigInt(type), bytes);
    const end = type === 3 ? varint(BigInt(at) * 8n + 4n) : [];
    return [...tag, ...value, ...end];
  });
}

const sized = (content: fc.Arbitrary<number[]>): fc.Arbitrary<number[]> =>
  fc
    .tuple(content, long)
    .map(([value, bytes]) => [...varint(BigInt(value.length), bytes), ...value]);
const joined = (parts: fc.Arbitrary<number[]>): fc.Arbitrary<number[]> =>
  fc.array(parts, { maxLength: 4 }).map((all) => all.flat());
const bytesOf = (length: number): fc.Arbitrary<number[]> =>
  fc.array(fc.integer({ min: 0, max: 255 }), { minLength: length, maxLength: length });
const utf8 = fc
  .oneof(fc.string({ unit: "binary", maxLength: 9 }), fc.constant("x".repeat(200)))
  // The package drops a byte order mark, Google's implementation keeps it.
  .filter((text) => !text.startsWith("\ufeff"))
  .map((text) => [...new TextEncoder().encode(text)]);
const maybeText = fc.oneof(
  { weight: 9, arbitrary: utf8 },
  fc.constantFrom<number[]>([0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xe4]),
);

const { unknownField } = fc.letrec<{ unknownField: number[] }>((tie) => ({
  unknownField: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    field(unknown, 0, numberBytes),
    field(unknown, 1, bytesOf(8)),
    field(unknown, 5, bytesOf(4)),
    field(unknown, 2, sized(fc.oneof(utf8, bytesOf(3)))),
    field(unknown, 3, joined(tie("unknownField"))),
  ),
}));
// The package reads a field that it knows without a look at its wire type, so these have the right ones.
const stamp = joined(fc.oneof(field(fc.constantFrom(1, 2), 0, numberBytes), unknownField));
const hostile = fc
  .tuple(
    joined(
      fc.oneof(
        { weight: 3, arbitrary: field(fc.constantFrom(1, 2, 3, 5), 2, sized(maybeText)) },
        { weight: 2, arbitrary: field(fc.constant(4), 2, sized(stamp)) },
        unknownField,
      ),
    ),
    fc.oneof(
      { weight: 2, arbitrary: fc.constant<number | number[]>([]) },
      fc.nat(60),
      fc.constantFrom<number[]>([0], [7], [0x24], [0x36], [0x80, 0x80, 0x80, 0x80, 0x80, 1]),
    ),
  )
  .map(([whole, end]) =>
    Uint8Array.from(typeof end === "number" ? whole.slice(0, end) : [...whole, ...end]),
  );

const ERROR = "an error";
const orError = <T>(decode: () => T): T | typeof ERROR => {
  try {
    return decode();
  } catch (error) {
    expect(error).toBeInstanceOf(Error);
    return ERROR;
  }
};

// A failure prints its seed. The soak runs a hundred times as many.
test("hostile bytes are decoded, or refused, as by the package of protobuf", () => {
  fc.assert(
    fc.property(hostile, (bytes) => {
      const expected = orError(() => {
        const { id, tag, artifactUrl, fileUrls, createdAt } = fromBinary(
          CurrentResponseSchema,
          bytes,
        );
        const time = createdAt && { seconds: createdAt.seconds, nanos: createdAt.nanos };
        return { id, tag, artifactUrl, fileUrls, ...(time && { createdAt: time }) };
      });
      expect(orError(() => decodeAnswer(bytes))).toEqual(expected);
    }),
    { numRuns: process.env.DEWY_SOAK === "1" ? 300_000 : 3_000 },
  );
});

describe("where the package of protobuf is more lenient, Google's implementations decide", () => {
  const NOTHING = { id: "", tag: "", artifactUrl: "", fileUrls: [] };
  // What Python's protobuf makes of these bytes, and `protoc --decode=dewy.CurrentResponse`, except that this drops
  // the upper bits of a tag.
  test.each([
    ["a known field of another type is unknown", "087f", NOTHING],
    ["and so is a known message", "2000", NOTHING],
    ["a group with a known number is unknown", "0b0c", NOTHING],
    ["a text keeps its byte order mark", "0a04efbbbf61", { ...NOTHING, id: "\ufeffa" }],
    [
      "a message in two fields is merged",
      "22020805" + "22021007",
      { ...NOTHING, createdAt: { seconds: 5n, nanos: 7 } },
    ],
    ["a length has at most five bytes", "228080808080808000", ERROR],
    ["a number has at most ten bytes", "788080808080808080808100", ERROR],
    ["a tag has at most five bytes", "f880808080000000", ERROR],
    ["a tag has at most 32 bits", "f8ffffff7f00", ERROR],
    ["no field has the number 0", "0000", ERROR],
    ["a message does not go beyond its end", "2201b22200", ERROR],
    ["nor beyond that of the answer", "280113", ERROR],
    ["a group must have begun", "3c", ERROR],
    ["and end", "33", ERROR],
    ["with the same number", "333c44", ERROR],
    ["there are no types 6 and 7", "3e", ERROR],
    ["groups may be nested a hundred times", "33".repeat(99) + "34".repeat(99), NOTHING],
    ["but not without a limit", "33".repeat(5_000) + "34".repeat(5_000), ERROR],
  ])("%s", (_, hex, expected) => {
    expect(orError(() => decodeAnswer(Buffer.from(hex, "hex")))).toEqual(expected);
  });
});
