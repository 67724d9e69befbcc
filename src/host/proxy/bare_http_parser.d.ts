declare module "bare-http-parser" {
  /** Parses the messages that are sent in one direction of a connection. */
  class HttpParser {
    static readonly constants: {
      readonly REQUEST: 1;
      readonly RESPONSE: 2;
      readonly DATA: 3;
      readonly END: 4;
    };
    /** Announces that the next response has no body, whatever its head says. */
    skipBody(): void;
    push(data: Uint8Array): Generator<HttpParser.Event, void>;
    /** Takes the bytes back that have not been parsed yet. */
    drain(): Uint8Array;
  }

  namespace HttpParser {
    /** What requests and responses have in common; repeated fields are joined with a comma. */
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
