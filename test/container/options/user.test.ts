import { describe, expect, test } from "vitest";
import { containerUser } from "../../../src/container/options/user.ts";

const own = { uid: 1000, gid: 100 };

describe("containerUser", () => {
  test.each(["", "0", "0:0", "root", "root:wheel", ":5", "00"])(
    'runs an image with the user "%s" as dewy\'s own user',
    (image) => {
      expect(containerUser({ given: undefined, image, own })).toBe("1000:100");
    },
  );

  test.each(["app", "1000", "10:0", "rootless", "nobody:root"])(
    'keeps the user "%s" of an image',
    (image) => {
      expect(containerUser({ given: undefined, image, own })).toBeUndefined();
    },
  );

  test("keeps root if dewy runs as root or the operator chose the user", () => {
    const image = "";
    expect(containerUser({ given: undefined, image, own: { uid: 0, gid: 0 } })).toBeUndefined();
    expect(containerUser({ given: "0:0", image, own })).toBeUndefined();
    expect(containerUser({ given: undefined, image, own: undefined })).toBeUndefined();
  });
});
