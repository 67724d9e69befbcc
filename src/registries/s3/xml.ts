import { readXml, type XmlElement } from "./xml_reader.ts";

/** A page of 1,000 objects has some 20,000. A parsed tag takes far more memory than its text. */
const MAX_TAGS = 400_000;

export interface S3Object {
  key: string;
  size: number;
  etag: string;
  lastModified: Date;
}

export interface S3Page {
  prefixes: string[];
  objects: S3Object[];
  /** The token of the next page. */
  next: string | undefined;
}

/**
 * Returns a page, or its problem as a sentence.
 * https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html#API_ListObjectsV2_ResponseSyntax
 */
export function parseListing(xml: string): S3Page | string {
  if (!xml.trimEnd().endsWith("</ListBucketResult>")) return "it is not a complete listing";
  if (countTags(xml) > MAX_TAGS) return `it has more than ${MAX_TAGS} XML tags`;
  const result = readXml(xml);
  if (result?.name !== "ListBucketResult") return "it is not well-formed XML";
  const isTruncated = textOf(result, "IsTruncated");
  if (isTruncated !== "true" && isTruncated !== "false") return unexpected("IsTruncated");
  const next = isTruncated === "true" ? textOf(result, "NextContinuationToken") : undefined;
  if (isTruncated === "true" && !next) return "it is truncated, but has no continuation token";
  const isEncoded = textOf(result, "EncodingType") === "url";
  const decode = isEncoded ? decodeUrl : (text: string): string => text;
  const page: S3Page = { prefixes: [], objects: [], next };
  for (const entry of result.children) {
    if (entry.name === "CommonPrefixes") {
      const prefix = textOf(entry, "Prefix");
      if (prefix === undefined) return unexpected("CommonPrefixes.Prefix");
      page.prefixes.push(decode(prefix));
    } else if (entry.name === "Contents") {
      const key = textOf(entry, "Key");
      const size = textOf(entry, "Size") ?? "";
      const lastModified = new Date(textOf(entry, "LastModified") ?? "");
      if (key === undefined) return unexpected("Contents.Key");
      if (!/^\d{1,15}$/.test(size)) return unexpected("Contents.Size");
      if (Number.isNaN(lastModified.getTime())) return unexpected("Contents.LastModified");
      const etag = textOf(entry, "ETag") ?? "";
      page.objects.push({ key: decode(key), size: Number(size), etag, lastModified });
    }
  }
  return page;
}

const unexpected = (path: string): string => `ListBucketResult.${path} is not as expected`;

/** The text of a child; `undefined` if there is none, or if it is not text. */
function textOf(element: XmlElement | undefined, name: string): string | undefined {
  const child = element?.children.find((one) => one.name === name);
  return child?.children.length === 0 ? child.text : undefined;
}

/** https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html#RESTErrorResponses */
export function parseS3Error(xml: string): { code: string; message: string; region: string } {
  const root = readXml(xml.trim());
  const error = root?.name === "Error" ? root : undefined;
  const read = (name: string): string => textOf(error, name)?.trim() ?? "";
  return { code: read("Code"), message: read("Message"), region: read("Region") };
}

function countTags(xml: string): number {
  let count = 0;
  for (let at = xml.indexOf("<"); at >= 0; at = xml.indexOf("<", at + 1)) count += 1;
  return count;
}

// AWS writes a space as "+", others as "%20".
function decodeUrl(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    return text;
  }
}
