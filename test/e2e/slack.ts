import { onTestFinished } from "vitest";
import { serveFetch } from "../fakes/serve.ts";

/** A Slack that records the texts it is sent; `answer` decides what it does about them. */
export async function slack(
  answer: () => Promise<Response>,
): Promise<{ texts: string[]; url: string }> {
  const texts: string[] = [];
  const server = await serveFetch(async (request) => {
    const form = new URLSearchParams(await request.text());
    const attachments: { text: string; title?: string }[] = JSON.parse(
      form.get("attachments") ?? "[]",
    );
    texts.push(...attachments.map(({ text }) => text));
    return answer();
  });
  onTestFinished(() => server.close());
  return { texts, url: `${server.url}/` };
}
