import { onTestFinished } from "vitest";
import { serveFetch } from "../fakes/serve.ts";

/**
 * A Slack that records the texts, and all fields, of its messages; `answer` decides how it
 * responds.
 */
export async function slack(
  answer: () => Promise<Response>,
): Promise<{ texts: string[]; forms: string[]; url: string }> {
  const texts: string[] = [];
  const forms: string[] = [];
  const server = await serveFetch(async (request) => {
    const form = new URLSearchParams(await request.text());
    forms.push([...form.values()].join("\n"));
    const attachments: { text: string; title?: string }[] = JSON.parse(
      form.get("attachments") ?? "[]",
    );
    texts.push(...attachments.map(({ text }) => text));
    return answer();
  });
  onTestFinished(() => server.close());
  return { texts, forms, url: `${server.url}/` };
}
