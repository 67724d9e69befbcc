import { expect, test } from "vitest";
import { auditName, auditText, isAuditName } from "../../src/registries/audit.ts";

const at = new Date(Date.UTC(2026, 0, 2, 3, 4, 5, 6));

test("the record of a deploy is named after host, command and time", () => {
  const name = auditName({ host: "Web-1.Example", command: "server", at });
  expect(name).toBe("shipped_to_web-1.example_server_at_20260102T030405.006000000Z.txt");
  expect(auditText(name)).toBe("shipped to web-1.example server at 20260102T030405.006000000Z");
  expect(isAuditName(name)).toBe(true);
  expect(isAuditName("app_linux_amd64.tar.gz")).toBe(false);
});

test("a host name cannot lead the record elsewhere", () => {
  const name = auditName({ host: "../a/b?c#d e\0é", command: "assets", at });
  expect(name).toBe("shipped_to_..-a-b-c-d-e--_assets_at_20260102T030405.006000000Z.txt");
});

test("deploys in the same millisecond are told apart by the digits below it", () => {
  const deployed = { host: "web", command: "server", at };
  expect(auditName({ ...deployed, nanoseconds: 42 })).toBe(
    "shipped_to_web_server_at_20260102T030405.006000042Z.txt",
  );
  expect(auditName({ ...deployed, nanoseconds: 999_999 })).toContain("030405.006999999Z");
});
