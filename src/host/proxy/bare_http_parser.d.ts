declare module "bare-http-parser" {
  class HttpParser {
    static readonly constants: {
      readonly REQUEST: 1;
      readonly RESPONSE: 2;
      readonly DATA: 3;
      readonly END: 4;
    };
    /** The next response has no body, even if its head says so. */
    skipBody(): void;
    push(data: Uint8Array): Generator<HttpParser.Event, void>;
    /** Returns the bytes that have not been parsed yet, and forgets them. */
    drain(): Uint8Array;
  }

  namespace HttpParser {
    /** Repeated fields are joined with a comma. */
    interface Head {
      version: string;
      headers: Readonly<Record<string, string | undefined>>;
    }
    type Event =
      | (Head & { type: 1; method: string })
      | (Head & { type: 2; code: number })
      | { type: 3; data: Uint8Array }
      | { type: 4 };
  }

  export = HttpParser;
}
