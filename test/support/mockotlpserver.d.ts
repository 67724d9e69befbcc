/** The package has no types of its own. */
declare module "@elastic/mockotlpserver" {
  export class MockOtlpServer {
    constructor(options: {
      logLevel: string;
      services: readonly "http"[];
      httpHostname: string;
      httpPort: number;
      onTrace(body: object): void;
      onMetrics(body: object): void;
    });
    start(): Promise<void>;
    close(): Promise<void>;
    readonly httpUrl: string;
  }
}
