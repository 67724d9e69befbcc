import * as v from "valibot";
import { printable } from "../core/text.ts";
import { chunksOf, readText } from "../http/body.ts";
import { parseJsonIfValid } from "../http/json.ts";
import { reportSchema } from "../registries/https/contract.ts";
import type { AllowedRegistry } from "./allow_list.ts";
import type { HandlerOptions } from "./options.ts";
import { Refusal } from "./response.ts";

const MAX_BYTES = 16 * 1024;

/** Passes a report on. Its token has been checked. */
export async function receiveReport(
  request: Request,
  { name, url }: AllowedRegistry,
  onReport: NonNullable<HandlerOptions["onReport"]>,
): Promise<Response> {
  const report = v.safeParse(reportSchema, parseJsonIfValid(await readBody(request)));
  if (!report.success) {
    const field = v.getDotPath(report.issues[0]) ?? "the body";
    throw new Refusal(400, "config", `Cannot read the report: ${field} is missing or not valid`);
  }
  const { schema: _, at, error, ...rest } = report.output;
  const why = error === undefined ? undefined : printable(error, "\n");
  await onReport({ registry: name, url, ...rest, at: new Date(at), error: why });
  return new Response(null, { status: 204, headers: { "cache-control": "no-store" } });
}

async function readBody(request: Request): Promise<string> {
  try {
    const { url } = request;
    return await readText(chunksOf(request.body), { maxBytes: MAX_BYTES, url });
  } catch {
    throw new Refusal(413, "config", `Cannot read the report: it has more than ${MAX_BYTES} bytes`);
  }
}
