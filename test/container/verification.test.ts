import { expect, test } from "vitest";
import { requireImageKinds } from "../../src/container/verification.ts";
import { parsePolicy } from "../../src/verify/policy.ts";

test.each(["sigstore=a,b", "sigstore-key=cosign.pub", "github=acme/app"])(
  "%s is for images",
  (rule) => {
    expect(() => requireImageKinds(parsePolicy([rule]))).not.toThrow();
  },
);

test.each(["checksums", "minisign=RWQ", "ssh=file", "openpgp=file"])("%s is refused", (rule) => {
  const policy = parsePolicy(["github=acme/app", rule]);
  expect(() => requireImageKinds(policy)).toThrow(
    `Cannot use --verify "${rule}" with dewy container: it is for files; images are verified by sigstore, sigstore-key, github`,
  );
});
