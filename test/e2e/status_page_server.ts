import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { page } from "../../src/admin/answer.ts";
import { renderPage, renderSections } from "../../src/admin/page/render.ts";
import { EVENTS_PATH, type PageView, SECTIONS_EVENT } from "../../src/admin/page/view.ts";

/** Serves one view as the admin server does; the test decides what happens to the events. */
export interface PageServer extends AsyncDisposable {
  url: string;
  /** Shows another view from now on, and sends the sections that differ. */
  show(view: PageView): void;
  /** Ends the events, and refuses new connections to them while `isDown`. */
  cut(isDown: boolean): void;
}

export async function servePage(first: PageView): Promise<PageServer> {
  const clients = new Set<ServerResponse>();
  let view = first;
  let isDown = false;
  const send = (to: Iterable<ServerResponse>, sections: Readonly<Record<string, string>>): void => {
    for (const client of to) {
      client.write(`event: ${SECTIONS_EVENT}\ndata: ${JSON.stringify(sections)}\n\n`);
    }
  };
  const server = createServer(async ({ url }, response) => {
    if (url === EVENTS_PATH && !isDown) {
      clients.add(response);
      response.on("close", () => clients.delete(response));
      response.writeHead(200, { "content-type": "text/event-stream" });
      // Otherwise the browser connects again after a few seconds.
      response.write("retry: 50\n\n");
      return send([response], renderSections(view));
    }
    if (url !== "/") return response.writeHead(isDown ? 503 : 404).end();
    const answer = page(renderPage(view, { nonce: "c2VjcmV0" }), "c2VjcmV0");
    response.writeHead(200, Object.fromEntries(answer.headers)).end(await answer.text());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    show(next) {
      const earlier: Readonly<Record<string, string>> = renderSections(view);
      view = next;
      const changed = Object.entries(renderSections(next)).filter(
        ([id, html]) => earlier[id] !== html,
      );
      send(clients, Object.fromEntries(changed));
    },
    cut(down) {
      isDown = down;
      for (const client of clients) client.destroy();
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
