import { XMLParser } from "fast-xml-parser";
import * as v from "valibot";

/** An object of a listing. */
export interface S3Object {
  /** The key, decoded. */
  key: string;
  /** Bytes. */
  size: number;
  /** The entity tag as the server wrote it, quotes included; empty when it states none. */
  etag: string;
  /** When it was stored. */
  lastModified: Date;
}

/** A page of a listing. */
export interface S3Page {
  /** Keys below the prefix, up to the next delimiter: the "directories". They end in the delimiter. */
  prefixes: readonly string[];
  /** Objects directly below the prefix. */
  objects: readonly S3Object[];
  /** Where the next page begins; `undefined` on the last one. */
  next: string | undefined;
}

/** What an S3 error answer says. */
export interface S3ErrorBody {
  /** `NoSuchKey`, `SlowDown`, …; empty when the body is no S3 error. */
  code: string;
  /** The server's words; may be empty. */
  message: string;
  /** The region that the server expects; empty when it states none. */
  region: string;
}

// Numbers stay text (a key such as "007" is none) and spaces stay where they are.
const parser = new XMLParser({
  ignoreAttributes: true,
  parseTagValue: false,
  trimValues: false,
  processEntities: true,
  // Without it, numeric character references such as &#13; are left as they are.
  htmlEntities: true,
  isArray: (name) => name === "Contents" || name === "CommonPrefixes",
});

/** A page of 1,000 objects has some 20,000; parsed, each takes far more memory than its text. */
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
 * Reads an answer of ListObjectsV2.
 *
 * @param xml the body.
 * @returns the page, or in one sentence what is wrong with it.
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html#API_ListObjectsV2_ResponseSyntax
 */
export function parseListing(xml: string): S3Page | string {
  // The parser closes what a cut answer leaves open; a listing that lost its end must not look complete.
  if (!xml.trimEnd().endsWith("</ListBucketResult>")) return "it is no complete listing";
  if (countTags(xml) > MAX_TAGS) return `it has more than ${MAX_TAGS} XML tags`;
  const parsed = v.safeParse(Listing, parse(xml));
  if (!parsed.success) {
    const [issue] = parsed.issues;
    return `${v.getDotPath(issue) ?? "it"} is not as expected`;
  }
  const result = parsed.output.ListBucketResult;
  if (result.IsTruncated === "true" && !result.NextContinuationToken) {
    return "it goes on, but does not say where";
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

/**
 * Reads the body of an error.
 *
 * @param xml the body, or its start.
 * @returns its parts; all empty when it is no S3 error.
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html#RESTErrorResponses
 */
export function parseS3Error(xml: string): S3ErrorBody {
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
