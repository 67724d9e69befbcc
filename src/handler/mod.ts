/**
 * Answers requests for the newest version: a handler for serverless functions and web frameworks.
 *
 * @module
 */
export { createHandler } from "./handler.ts";
export type { HandlerOptions, HandlerReport } from "./options.ts";
