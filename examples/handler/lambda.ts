import { createHandler } from "dewy/handler";

// A response is limited to 6 MB, so larger artifacts need the redirect that a handler sends by default.
const respond = createHandler({ registries: { app: "ghr://linyows/myapp" } });

/** An event of a function URL or of API Gateway, format 2.0. */
export interface LambdaEvent {
  rawPath: string;
  rawQueryString: string;
  headers: Readonly<Record<string, string>>;
  requestContext: { domainName: string; http: { method: string } };
  body?: string;
  isBase64Encoded: boolean;
}

export interface LambdaResult {
  statusCode: number;
  headers: Record<string, string>;
  body: string;
  isBase64Encoded: boolean;
}

export async function handler(event: LambdaEvent): Promise<LambdaResult> {
  const { rawPath, rawQueryString, headers, requestContext, body } = event;
  const url = `https://${requestContext.domainName}${rawPath}?${rawQueryString}`;
  const { method } = requestContext.http;
  const bytes =
    body === undefined ? null : Buffer.from(body, event.isBase64Encoded ? "base64" : "utf8");
  const response = await respond(new Request(url, { method, headers, body: bytes }));
  return {
    statusCode: response.status,
    headers: Object.fromEntries(response.headers),
    body: Buffer.from(await response.arrayBuffer()).toString("base64"),
    isBase64Encoded: true,
  };
}
