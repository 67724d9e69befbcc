import { expect, test } from "vitest";
import { crashText } from "../../src/agent/crash_text.ts";

test("a crash is one line without secrets", () => {
  const env = { SLACK_TOKEN: "xoxb-123456", HOME: "/root/home" };
  const error = new TypeError("xoxb-123456\nat https://me:pw@example.com/?token=abc in /root/home");
  expect(crashText(error, env)).toBe(
    "Error: TypeError: …\\nat https://example.com/?token=… in /root/home; this is a bug in dewy\n",
  );
  expect(crashText("text", {})).toBe("Error: text; this is a bug in dewy\n");
});
