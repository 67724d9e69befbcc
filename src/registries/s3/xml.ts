import { XMLParser } from "fast-xml-parser";
import * as v from "valibot";

// Numbers stay text, since a key such as "007" is not a number, and spaces are kept.
const parser = new XMLParser({
  ignoreAttributes: true,
  parseTagValue: false,
  trimValues: false,
  processEntities: true,
  // Also decodes numeric character references such as &#13;.
  htmlEntities: true,
  isArray: (name) => name === "Contents" || name === "CommonPrefixes",
});

/** A page of 1,000 objects has some 20,000. A parsed tag takes far more memory than its text. */
const MAX_TAGS = 400_000;

const Listing = v.object({
  ListBucketResult: v.object({
    EncodingType: v.optional(v.string()),
    IsTruncated: v.picklist(["true", "false"]),
    NextContinuationToken: v.optional(v.string()),
    CommonPrefixes: v.optional(v.array(v.object({ Prefix: v.string() })), []),
    Contents: v.optional(
      v.array(
        v.object({
          Key: v.string(),
          Size: v.pipe(v.string(), v.regex(/^\d{1,15}$/), v.transform(Number)),
          ETag: v.optional(v.string(), ""),
          LastModified: v.pipe(
            v.string(),
            v.transform((text) => new Date(text)),
            v.date(),
          ),
        }),
      ),
      [],
    ),
  }),
});

const ErrorBody = v.object({
  Error: v.object({
    Code: v.optional(v.string(), ""),
    Message: v.optional(v.string(), ""),
    Region: v.optional(v.string(), ""),
  }),
});

/**
 * Returns a page, or its problem as a sentence.
 * https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html#API_ListObjectsV2_ResponseSyntax
 */
export function parseListing(xml: string) {
  // The parser closes open tags, but a truncated listing must not look complete.
  if (!xml.trimEnd().endsWith("</ListBucketResult>")) return "it is not a complete listing";
  if (countTags(xml) > MAX_TAGS) return `it has more than ${MAX_TAGS} XML tags`;
  const parsed = v.safeParse(Listing, parse(xml));
  if (!parsed.success) {
    const [issue] = parsed.issues;
    return `${v.getDotPath(issue) ?? "it"} is not as expected`;
  }
  const result = parsed.output.ListBucketResult;
  if (result.IsTruncated === "true" && !result.NextContinuationToken) {
    return "it is truncated, but has no continuation token";
  }
  const decode = result.EncodingType === "url" ? decodeUrl : (text: string): string => text;
  return {
    prefixes: result.CommonPrefixes.map((entry) => decode(entry.Prefix)),
    objects: result.Contents.map((entry) => ({
      key: decode(entry.Key),
      size: entry.Size,
      etag: entry.ETag,
      lastModified: entry.LastModified,
    })),
    next: result.IsTruncated === "true" ? result.NextContinuationToken : undefined,
  };
}

export type S3Page = Exclude<ReturnType<typeof parseListing>, string>;
export type S3Object = S3Page["objects"][number];

/** https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html#RESTErrorResponses */
export function parseS3Error(xml: string) {
  const parsed = v.safeParse(ErrorBody, parse(xml));
  if (!parsed.success) return { code: "", message: "", region: "" };
  const { Code, Message, Region } = parsed.output.Error;
  return { code: Code.trim(), message: Message.trim(), region: Region.trim() };
}

function countTags(xml: string): number {
  let count = 0;
  for (let at = xml.indexOf("<"); at >= 0; at = xml.indexOf("<", at + 1)) count += 1;
  return count;
}

function parse(xml: string): unknown {
  try {
    return parser.parse(xml);
  } catch {
    return undefined;
  }
}

// AWS writes a space as "+", others as "%20".
function decodeUrl(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    return text;
  }
}
