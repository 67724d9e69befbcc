import fc from "fast-check";
import { expect, test } from "vitest";
import { HttpFraming } from "../../../src/host/proxy/http_framing.ts";
import {
  type Conversation,
  type Cuts,
  chunksOf,
  conversations,
  cuts,
  type Exchange,
  plainConversations,
  type Step,
} from "./conversations.ts";

/** `npm run soak` tries five hundred times as many. */
const RUNS = process.env.DEWY_SOAK === "1" ? 1_000_000 : 2_000;
const MINUTES = process.env.DEWY_SOAK === "1" ? 20 : 1;
/** A failure prints the seed as well, with the shortest conversation that fails. */
const SEED = Number(process.env.DEWY_FUZZ_SEED ?? Date.now() % 2 ** 31);

const options = {
  numRuns: RUNS,
  seed: SEED,
  interruptAfterTimeLimit: (MINUTES * 60_000) / 4,
} as const;
const timeout = MINUTES * 60_000;

test(`changes only the head of a final response that may end its connection (seed ${SEED})`, {
  timeout,
}, () => {
  const until = fc.nat({ max: 30 });
  let changed = 0;
  fc.assert(
    fc.property(conversations, cuts, until, (conversation, how, closesFrom) => {
      for (const { chunk, sent, at } of relay(conversation, how, closesFrom)) {
        if (sent === chunk.bytes) continue;
        changed += 1;
        // The whole request was sent, and nothing after it.
        const exchange = conversation.exchanges.find(({ request }) => request.end === at.client);
        expect(sent).toBe(exchange && told(chunk.bytes, at.backend, exchange));
      }
    }),
    options,
  );
  expect(changed).toBeGreaterThan(0);
});

test(`reports a connection as idle between two requests only (seed ${SEED})`, { timeout }, () => {
  fc.assert(
    fc.property(conversations, cuts, (conversation, how) => {
      for (const { at, chunk, isIdle } of relay(conversation, how, Infinity)) {
        at[chunk.from] += chunk.bytes.length;
        if (isIdle && !isBetween(conversation, at)) return false;
      }
      return true;
    }),
    options,
  );
});

test(`reports a connection as idle after every exchange of plain HTTP/1 (seed ${SEED})`, {
  timeout,
}, () => {
  fc.assert(
    fc.property(plainConversations, cuts, (conversation, how) => {
      for (const { at, chunk, isIdle } of relay(conversation, how, Infinity)) {
        at[chunk.from] += chunk.bytes.length;
        if (isIdle !== isBetween(conversation, at)) return false;
      }
      return true;
    }),
    options,
  );
});

interface Relayed {
  chunk: Step;
  /** For the other side. */
  sent: string;
  /** How much each side had sent before. */
  at: { client: number; backend: number };
  isIdle: boolean;
}

/** `closesFrom` is the first chunk after which the connection should end. */
function relay(conversation: Conversation, how: Cuts, closesFrom: number): Relayed[] {
  const framing = new HttpFraming();
  const position = { client: 0, backend: 0 };
  return chunksOf(conversation, how).map((chunk, index) => {
    const bytes = Buffer.from(chunk.bytes, "latin1");
    let sent: Uint8Array = bytes;
    if (chunk.from === "client") framing.request(bytes);
    else sent = framing.response(bytes, index >= closesFrom);
    const at = { ...position };
    position[chunk.from] += bytes.length;
    return { chunk, sent: Buffer.from(sent).toString("latin1"), at, isIdle: framing.isIdle };
  });
}

function isBetween({ exchanges }: Conversation, at: Relayed["at"]): boolean {
  return exchanges.some(
    ({ request, response }) => request.end === at.client && response.end === at.backend,
  );
}

/** A chunk with `Connection: close`. */
function told(bytes: string, position: number, { head }: Exchange): string {
  const [start, end] = [head.start - position, head.end - position];
  if (start < 0 || end > bytes.length) return bytes;
  const lines = bytes.slice(start, end - 4).split("\r\n");
  const others = lines.filter((line) => !/^connection:/i.test(line));
  return `${bytes.slice(0, start)}${others.join("\r\n")}\r\nConnection: close\r\n\r\n${bytes.slice(end)}`;
}
