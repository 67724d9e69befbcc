import fc from "fast-check";
import { XMLParser } from "fast-xml-parser";
import { describe, expect, test } from "vitest";
import { parseListing, parseS3Error } from "../../../src/registries/s3/xml.ts";
import { readXml, type XmlElement } from "../../../src/registries/s3/xml_reader.ts";

/** The settings with which a general parser reads S3's answers. */
const general = new XMLParser({
  preserveOrder: true,
  ignoreAttributes: true,
  parseTagValue: false,
  trimValues: false,
  processEntities: true,
  htmlEntities: true,
});

/** Elements as the general parser returns them: one key, and `#text`. */
type Parsed = Readonly<Record<string, readonly Parsed[] | string>>;

function fromGeneral(node: Parsed): XmlElement | undefined {
  const [name = "", content = []] = Object.entries(node)[0] ?? [];
  if (typeof content === "string" || name.startsWith("?")) return undefined;
  const text = content.map((child) => child["#text"] ?? "").join("");
  const children = content.flatMap((child) => ("#text" in child ? [] : (fromGeneral(child) ?? [])));
  return { name, text, children };
}

const escaped = (text: string): string =>
  text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(/[\r\n\t\u{80}-\u{10ffff}]/gu, (char) => `&#${char.codePointAt(0)};`);

const characters = fc.string({
  unit: fc.constantFrom(..."abc/&<>'\"=;# \n\t%é😀]-", "amp;"),
  maxLength: 12,
});
const tag = fc.constantFrom("Key", "Prefix", "Contents", "ETag", "a.b", "x-y", "ns:Key");
const { element } = fc.letrec<{ element: string }>((tie) => ({
  element: fc
    .tuple(
      tag,
      fc.constantFrom("", ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"', " a='&lt;\"' "),
      fc.oneof(
        { weight: 3, arbitrary: characters.map(escaped) },
        characters.filter((text) => !text.includes("]")).map((text) => `<![CDATA[${text}]]>`),
        fc.array(tie("element"), { maxLength: 3 }).map((parts) => parts.join("")),
      ),
    )
    .map(([name, attributes, content]) =>
      content === "" ? `<${name}${attributes}/>` : `<${name}${attributes}>${content}</${name}>`,
    ),
}));

describe("the reader of S3's XML", () => {
  test("reads what a general parser reads", () => {
    fc.assert(
      fc.property(element, fc.constantFrom("", '<?xml version="1.0"?>\n'), (xml, declaration) => {
        const parsed = (general.parse(declaration + xml) as Parsed[]).flatMap(
          (node) => fromGeneral(node) ?? [],
        );
        expect([readXml(declaration + xml)]).toEqual(parsed);
      }),
      { numRuns: 2_000 },
    );
  });

  test("reads no document that is cut off, and never throws", () => {
    fc.assert(
      fc.property(element, fc.nat(), fc.string({ maxLength: 3 }), (xml, at, other) => {
        const cut = at % xml.length;
        expect(readXml(xml.slice(0, cut))).toBeUndefined();
        readXml(xml.slice(0, cut) + other + xml.slice(cut));
      }),
      { numRuns: 2_000 },
    );
  });

  test.each([
    ["a DOCTYPE", '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'],
    ["an unknown entity", "<a>&b;</a>"],
    ["an entity named as a member of objects", "<a>&constructor;</a>"],
    ["a bare ampersand", "<a>b & c</a>"],
    ["a character that does not exist", "<a>&#x110000;</a>"],
    ["two roots", "<a/><b/>"],
    ["text around the root", "<a/>b"],
    ["a wrong end", "<a></b>"],
    ["an end too many", "<a></a></a>"],
    ["too many levels", `${"<a>".repeat(20)}${"</a>".repeat(20)}`],
    ["nothing", ""],
  ])("refuses %s", (_, xml) => {
    expect(readXml(xml)).toBeUndefined();
  });

  test("takes a time in proportion to the length of hostile texts", () => {
    const texts = ["<", "<a ", "<!--", "<![CDATA[", "&", "<?", "<a b='", "<a b=''", " "];
    for (const text of texts) readXml(`<a>${text.repeat(300_000)}`);
  });
});

describe("a listing", () => {
  const listing = (inner: string): string => `<ListBucketResult>${inner}</ListBucketResult>`;
  const contents = (inner: string): string =>
    listing(`<IsTruncated>false</IsTruncated><Contents>${inner}</Contents>`);

  test("has the keys as they are stored", () => {
    const entry =
      "<Key>a+b%26c&#13;/007</Key><Size>7</Size><LastModified>2026-01-01</LastModified>";
    const url = "<EncodingType>url</EncodingType>";
    const keyOf = (xml: string): string | undefined => {
      const page = parseListing(xml);
      return typeof page === "string" ? page : page.objects[0]?.key;
    };
    expect(keyOf(contents(entry))).toBe("a+b%26c\r/007");
    expect(keyOf(contents(entry).replace("<Contents>", `${url}<Contents>`))).toBe("a b&c\r/007");
  });

  test.each([
    [listing(""), "ListBucketResult.IsTruncated is not as expected"],
    [listing("<IsTruncated>true</IsTruncated>"), "it is truncated, but has no continuation token"],
    [listing("<IsTruncated>false</IsTruncated><Contents>"), "it is not well-formed XML"],
    [contents("<Size>1</Size>"), "ListBucketResult.Contents.Key is not as expected"],
    [contents("<Key>a</Key><Size>-1</Size>"), "ListBucketResult.Contents.Size is not as expected"],
    [
      contents("<Key>a</Key><Size>1</Size><LastModified>soon</LastModified>"),
      "ListBucketResult.Contents.LastModified is not as expected",
    ],
    ["<ListBucketResult>", "it is not a complete listing"],
  ])("is refused with its problem: %s", (xml, problem) => {
    expect(parseListing(xml)).toBe(problem);
  });

  test("is not an error, and an error has its code", () => {
    const xml =
      '<?xml version="1.0"?>\n<Error><Code>A</Code><Message> b &amp; c</Message></Error>\n';
    expect(parseS3Error(xml)).toEqual({ code: "A", message: "b & c", region: "" });
    expect(parseS3Error("<html><body>")).toEqual({ code: "", message: "", region: "" });
  });
});
